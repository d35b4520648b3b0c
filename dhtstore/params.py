"""Protocol constants: units in the names, sources beside them, relations asserted.

Operator settings live in ``config/settings.py``; what stands here is the same on every node.
"""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

PROTOCOL_VERSION: Final = 2
OLDEST_PROTOCOL_VERSION: Final = 2  # before it, offers said less than holders must know
ENVELOPE_VERSION: Final = 1  # of the outside of datagrams, which no handshake comes before
RECEIPT_VERSION: Final = 1  # of what a receipt means, for whoever reads it years later
FEATURES: Final[frozenset[str]] = frozenset()  # beyond the protocol: docs/protocol.md lists them
DONOR_FEATURE: Final = "donor"  # gives room to what is short of copies
FEATURES_MAX: Final = 16  # of one node, and so at most 272 bytes of a contact record
FEATURE_NAME_MAX_CHARS: Final = 16

# --- content (IPIP-499 profile unixfs-v1-2025; UnixFS spec) ----------------------------------
CHUNK_SIZE_BYTES: Final = 1 * MIB  # IPIP-499 unixfs-v1-2025
BUZHASH_MIN_BYTES: Final = 128 * KIB  # chunker/buzhash.go in ipfs/boxo
BUZHASH_MAX_BYTES: Final = 512 * KIB  # the same
LINKS_PER_NODE_MAX: Final = 1024  # IPIP-499 unixfs-v1-2025
HAMT_FANOUT: Final = 256  # IPIP-499; UnixFS spec, HAMT sharded directories
HAMT_THRESHOLD_BYTES: Final = 256 * KIB  # IPIP-499: shard above this directory block size
BLOCK_SIZE_MAX_BYTES: Final = 2 * MIB  # bitswap and trustless gateways accept at most 2 MiB
CAPACITY_MIN_BYTES: Final = 1_000_000  # an empty store sets a quarter of it aside for its index
DISK_RESERVE_DIVISOR: Final = 100  # this part of the disk is left free, as ext4 leaves 5 % to root
DISK_RESERVE_MAX_BYTES: Final = 1_000_000_000  # and no more than that
STORED_BLOCK_BYTES: Final = 128  # beside its bytes: a pack header of 50, an index row of 64
USUAL_MULTIHASH_BYTES: Final = 34  # SHA-256 with its head; what a longer one adds is counted
DAG_DEPTH_MAX: Final = 32  # 1,024-ary trees of 1 MiB leaves reach 1 EiB at depth 5; HAMT adds 8
TREE_LEVELS_MAX: Final = DAG_DEPTH_MAX - 1  # directories within each other that a put takes
IDENTITY_DIGEST_MAX_BYTES: Final = 128  # as Kubo: larger inlined CIDs are refused
UNIT_SIZE_MAX_BYTES: Final = 1 * GIB  # placed, receipted and repaired as one
UNIT_STORED_MAX_BYTES: Final = 8 * GIB  # with its interior blocks: 1 GiB of files of 64 bytes has 5
UNIT_SLACK_BYTES: Final = 64 * MIB  # claimed sizes choose the cut; the real size may exceed by this
SPINE_UNIT_MAX_BYTES: Final = 64 * MIB
SPINE_BYTES_PER_UNIT: Final = 4 * KIB  # estimate: 174-link files need 1.2 KiB per GiB, others less
SPINE_SPAN_MAX_BYTES: Final = SPINE_UNIT_MAX_BYTES // SPINE_BYTES_PER_UNIT * UNIT_SIZE_MAX_BYTES
UNIT_ROOTS_MAX_BYTES: Final = 384 * KIB  # of the roots of one run, so that they fit a header
UNIT_ROOTS_MAX: Final = UNIT_ROOTS_MAX_BYTES // 38  # each takes 34 bytes and 4 beside it, or more
LINKS_READ_MAX: Final = 65_536  # a 2 MiB block of ordinary 38-byte links holds fewer
INLINED_LINK_WEIGHT: Final = 3  # links that opening one inlined child costs, beside
INLINED_BYTES_PER_LINK: Final = 8  # so many of its bytes cost one more: the shortest link there is
UNIXFS_FIELDS_MAX: Final = 64  # of a node beside a block size for each link: today 8, ours 6
MTIME_FIELDS_MAX: Final = 8  # today 2
OPENED_ON_LOOP_MAX: Final = 2048  # links at 1 to 3 us: more than that is opened in a worker thread
NAME_MAX_BYTES: Final = 1024  # file systems take 255; more is only a way to waste memory
FILE_NAME_MAX_BYTES: Final = 255  # of what is put: NAME_MAX of Linux, and of what else there is
LINK_TARGET_MAX_BYTES: Final = 4095  # of what is put: PATH_MAX of Linux, whose end is a NUL
CONTENT_SIZE_MAX_BYTES: Final = 2**60  # claimed by one file or directory: 1 EiB
TREE_ENTRIES_MAX: Final = 10_000_000  # of one exported directory tree
LISTED_HELD_MAX: Final = 65_536  # rows of a listing that wait for those before them
OUTPUT_BYTES: Final = 512  # about what a row of a listing, or a file of a tree, takes in memory
PATTERNS_MAX: Final = 4096  # that count in one directory of a put; each is tried at each name in it
PATTERN_MAX_CHARS: Final = 1024
PATTERN_DEEP_MAX: Final = 3  # '**' in one
PATTERN_MIDDLE_MAX: Final = 1  # not at an end: each more is tried at all levels that others leave
PATTERN_COST: Final = 8192  # of reading one, in steps of matching: 20 ns each at the worst
PATTERN_STEPS_PATH_MAX: Final = 2**25  # of one path and list: 4,096 patterns, 8,192 characters
PATTERN_STEPS_MAX: Final = 2**30  # of one put: 20 s at the worst; and beside them
PATTERN_STEPS_PER_NAME: Final = 2**20  # looked at: 4,096 patterns and 256 characters
PATTERN_STEPS_AT_ONCE: Final = 2**22  # before whoever waits for them may stop them: 80 ms
PATTERNS_MAX_BYTES: Final = 256 * KIB  # of all of one list
LISTED_AT_ONCE: Final = 2048  # entries of a tree in memory beyond those of open directories
WRAPPED_MAX: Final = 200  # sources of one put in one directory: 253 descriptors go in one message
TAR_ENTRIES_MAX: Final = (
    400_000  # of one archive, and directories that it implies: 300 MB in memory
)
TAR_NAMES_MAX_BYTES: Final = 64 * MIB  # of all of them
TAR_CONTENT_FREE_BYTES: Final = 1 * GIB  # of the content of one, however short it is; and beside it
TAR_CONTENT_FACTOR: Final = (
    1000  # for each byte of it: gzip packs zeros so, and people's files 1:100
)
SKIPPED_NAMED_MAX: Final = 1000  # entries of a tree that a put names of those it has to skip
TREE_UNCLAIMED_MAX: Final = 65_536  # directories whose links claim no size, of one walk
WALK_HELD_MAX_BYTES: Final = 24 * MIB  # of links that a walk knows and does not want yet
LINKED_AHEAD_BYTES: Final = 64 * MIB  # of a file's content, below blocks that are on their way
WALK_LINK_BYTES: Final = 192  # what one takes beside WALK_BLOCK_FACTOR times its part of the block
WALK_BLOCK_FACTOR: Final = 4  # of text a character may take so many bytes
WALK_LEVEL_BYTES: Final = 2 * KIB  # what is known of an opened node beside its links
WALK_AHEAD_BYTES: Final = 64 * KIB  # what a block that is not here yet may bring: 140 links
WALK_LARGEST_BYTES: Final = (
    BLOCK_SIZE_MAX_BYTES // 38 * WALK_LINK_BYTES
    + BLOCK_SIZE_MAX_BYTES * WALK_BLOCK_FACTOR
    + WALK_LEVEL_BYTES
)  # the links of one block
SPINE_BLOCKS_MAX: Final = 2**20  # spine blocks of one DAG: a petabyte of files above 1 GiB
SPINE_LINKS_AGAIN_MAX: Final = 2**20  # of blocks opened for a second unit or size: seconds of work
ROOT_UNITS_MAX: Final = 2**17  # of one DAG: 128 TiB of full ones, and 300 MB while it is cut
UNIT_SEEN_MAX: Final = 524_288  # blocks a unit's walk remembers; 1 GiB of 4 KiB files has 262,144
SEEN_DIGEST_BYTES: Final = 16  # kept of each: 8 MiB for all, and nobody finds two that are alike
CAR_SEEN_MAX: Final = (
    2**20
)  # blocks a CAR has surely once: 1 TiB of 1 MiB; of further ones maybe more
CAR_AHEAD_MAX: Final = 131_072  # links known of a DAG that stand behind what is written of its CAR
CAR_ROOTS_MAX: Final = 1024
CAR_HEADER_MAX_BYTES: Final = 128 * KIB  # beyond CAR_ROOTS_MAX roots with the longest CIDs
CAR_CID_MAX_BYTES: Final = 160  # an identity CID of 128 bytes and its varints
UNIT_WANTS_MAX: Final = 2**24  # 1 GiB of files of 64 bytes

# --- clocks -----------------------------------------------------------------------------------
CLOCK_LOOK_S: Final = 30.0  # between two looks whether the machine slept: two wakeups a minute
CLOCK_SLEPT_MIN_S: Final = 10.0  # a timer that is late by less may be a busy machine
SEQUENCES_RESERVED: Final = 3600  # written down ahead: one write an hour
CLOCK_OFF_MIN_S: Final = 60.0  # beside the clocks of peers, before a node says so
PEER_CLOCKS_MIN: Final = 2  # one alone may be the one that is wrong
PEER_CLOCKS_ASKED: Final = 5  # as many are asked for
PEER_CLOCKS_MAX: Final = 32  # remembered
PEER_CLOCKS_AGE_MAX_S: Final = 6 * 3600.0  # a peer's clock may have been set since
CLOCK_SET_MIN_S: Final = 60.0  # the wall clock moved: all that was signed by it is signed anew

# --- identity ---------------------------------------------------------------------------------
NODE_ID_BYTES: Final = 20  # Kademlia (Maymounkov & Mazieres 2002): 160 bits
PUBLIC_KEY_BYTES: Final = 32  # Ed25519, RFC 8032
SIGNATURE_BYTES: Final = 64  # Ed25519, RFC 8032
PUZZLE_BITS: Final = 10  # S/Kademlia's static puzzle: 1,024 keys tried for one, 36 ms
ADDRESSES_PER_TICKET_MAX: Final = 4
NETWORK_NAME_MAX_BYTES: Final = 64
DEFAULT_NETWORK: Final = "main"

# --- DHT --------------------------------------------------------------------------------------
K: Final = 20  # Kademlia section 2.1: bucket size and replication of records
ALPHA: Final = 3  # Kademlia section 2.3: lookups in flight
DATAGRAM_MAX_BYTES: Final = 1200  # VPN paths and QUIC (RFC 9000 section 14) carry this much
AMPLIFICATION_MAX: Final = 3  # RFC 9000 section 8: bytes sent to an unproved address per received
RPC_INITIAL_TIMEOUT_S: Final = 1.0  # RFC 6298 section 2.1, before any RTT is known
RPC_TIMEOUT_MIN_S: Final = 0.25
RPC_TIMEOUT_MAX_S: Final = 1.5
LOOKUP_TIMEOUT_S: Final = 15.0
NETWORK_SIZE_PARTS: Final = 16  # of the ids, of each of which the last lookup tells: 192 bytes
NETWORK_SIZE_AGE_MAX_S: Final = 6 * 3600.0  # what was told before: networks grow and shrink
CROWD_RATE: Final = 1e-4  # of keys: as near as CROWD_MIN to K random ids come to those, each number
CROWD_MIN: Final = K // 4  # ground ids that are looked at: fewer leave honest ones among the K
REGION_LOOKUPS: Final = 5  # of a half of it, a quarter and so on: one node of K to 2 K is left
REGION_PATHS: Final = 2  # of each, with no node in common: who is there misleads one of them
LOOKUP_PATHS_MAX: Final = 8  # S/Kademlia (Baumgart & Mies 2007): 99 % with 20 % malicious nodes
REGION_NODES_MAX: Final = 8 * K  # asked in one, or stored at: 20 to 40 honest ones and a crowd
BUCKET_REFRESH_INTERVAL_S: Final = 3600.0  # Kademlia section 2.3
MAINTENANCE_INTERVAL_S: Final = 600.0  # between two looks at what of the table is due
PROVIDERS_PER_KEY_MAX: Final = 64
PROVIDERS_PER_ANSWER: Final = PROVIDERS_PER_KEY_MAX // K  # so that K nodes that lie leave room
PROVIDERS_PER_DATAGRAM_MAX: Final = 8  # records of one provider: of today's 151 bytes 6 fit
SWEPT_NODES: Final = K + K // 5  # of one lookup for many keys; an answer names 22 to 28
SWEPT_LOOKUPS_MAX: Final = 4  # for one region: mostly 1 or 2
CLOSEST_KNOWN_S: Final = 60.0  # whom a lookup found is told again: of IPFS's nodes 0.6 % are gone
CLOSEST_KNOWN_MAX: Final = 64  # such lookups: 20 nodes each that the table mostly knows anyway
SWEPT_AT_ONCE: Final = 128  # of ours told together: 14 datagrams to each of 30 nodes
SWEPT_SEEN_MAX_S: Final = 600.0  # then another lookup: of IPFS's nodes 6 % are gone by then
SWEPT_TIMEOUT_S: Final = 30.0  # of telling that many: mostly 2 to 5
PROVIDER_RECORDS_MAX: Final = 100_000  # in one node's record store
PROVIDER_RECORDS_PER_PUBLISHER_MAX: Final = PROVIDER_RECORDS_MAX // 2  # of strangers
PROVIDER_TTL_S: Final = 48 * 3600.0  # ProbeLab RFM17: records outlive 36 h; libp2p specs 451
REPROVIDE_INTERVAL_S: Final = 22 * 3600.0  # ProbeLab RFM17; libp2p specs 451
REPROVIDE_JITTER: Final = 0.1  # share of the interval, so that nodes started together spread
DUTY_RETRY_FIRST_S: Final = 10.0  # after the disk interrupted a duty; then doubling up to
DUTY_RETRY_MAX_S: Final = 600.0
REPROVIDE_PAUSE_S: Final = 0.05  # between two units: at most 20 lookups a second
REPROVIDE_SLOW_S: Final = 10.0  # of SWEPT_AT_ONCE units, lookups and stores: mostly 2 to 5
REPROVIDE_STRANGERS_FIRST: Final = 1024  # units, of each origin in turn, beside our own
REPROVIDE_RETRY_FIRST_S: Final = 30.0  # after one that nobody took; then doubling up to
REPROVIDE_RETRY_MAX_S: Final = 3600.0
PROVIDER_PROBE_FIRST_S: Final = 30.0  # after its first record: does who published it answer?
# Fewest pings find as many dead if a pause is in proportion to 1 / sqrt(the rate at which those of
# that age go), which for sessions as in IPFS (Weibull, shape 0.518, scale 1.93 h) is age ** 0.24;
# the older, the more are always on.  3 of 100 sessions end in half of a pause.
PROVIDER_PROBE_AT_HOUR_S: Final = 540.0  # the pause of who lives for an hour; it grows as sqrt(age)
PROVIDER_PROBE_MIN_S: Final = 240.0
PROVIDER_PROBE_MAX_S: Final = 7200.0  # reached after a week
# A request may be an old one that somebody sends again: it stands in for a pong, but not for long.
PROVIDER_PONG_PAUSES: Final = 3  # at least one pong within
PROVIDER_PROBE_SILENT_FACTOR: Final = 4.0  # by which pauses grow while it is silent:
PROVIDER_PROBE_SILENT_MAX_S: Final = 7200.0  # one that comes back announces itself
PROVIDER_PROBES_IN_VAIN_MAX: Final = 4  # of one that never answered
PROVIDER_PROBES_PER_S: Final = 2.0  # of one index node, in batches every
PROVIDER_PROBE_LOOK_S: Final = 10.0
RECORD_FUTURE_SKEW_MAX_S: Final = 15 * 60.0  # refuse records issued further ahead than this
# A holder's clock: its record must live until it is renewed.
HOLDER_BEHIND_MAX_S: Final = PROVIDER_TTL_S - REPROVIDE_INTERVAL_S
CONTACT_RECORD_TTL_S: Final = 48 * 3600.0
CONTACT_RECORD_RENEW_S: Final = 12 * 3600.0  # signed anew after, so that each round prolongs it
PROCEDURE_NAME_MAX_CHARS: Final = 32  # of a request in a datagram
FIRST_REQUEST_PADDED_BYTES: Final = 400  # x AMPLIFICATION_MAX: a full answer costs no round trip
RPC_RETRANSMIT_MIN_S: Final = 0.1  # one lost datagram on a LAN must not cost RPC_TIMEOUT_MIN_S
RPC_IN_FLIGHT_MAX: Final = 2048  # requests of one node that await an answer
PEER_FAILURES_MAX: Final = 3  # Kademlia section 4.1: a contact goes after several silent requests
BUCKET_REPLACEMENTS_MAX: Final = 4  # Kademlia section 4.1, kept small
NODES_PER_SITE_MAX: Final = 2  # of one public address or IPv6 /56, where a bucket is contended
STANDING_S: Final = 60.0  # between two answers of a node that a table believes in
NEWCOMER_PROBE_S: Final = 5.0  # after the last word of one that it does not, before others hear
NEWCOMERS_SAMPLED: Final = 4  # of so many one is asked early, while all of them live
NEWCOMERS_PER_ORIGIN_MAX: Final = 2  # of a /24 or /48 in a table; keys are free
SILENT_FOR_S: Final = (
    60.0  # who answers no lookup is named in vain; longer, and who returns is missed
)
SILENT_AT_LEAST_S: Final = 15.0  # before an answered ping may mean that it was started again
SILENT_REMEMBERED: Final = 512  # of those, the last
QUIET_TIMEOUTS: Final = 2  # usual round trips without an answer, before a lookup ends without those
INTRODUCED_PER_LINE_MAX: Final = 2  # of an address or IPv6 /56 that never answered, in a lookup
INTRODUCED_PER_PROVED_LINE_MAX: Final = 8  # where others answered: whoever has more is found anyway
INTRODUCED_PER_SUBNET_MAX: Final = 8  # of a /24 or /48, likewise: 6.4 kB a lookup
LINE_WAITING_MAX: Final = 64  # requests until such an address has answered one
LINES_REMEMBERED: Final = 128  # addresses that answered last
PLACES_REMEMBERED: Final = 1024  # addresses and ports that answered last, and under which key
VERIFY_PINGS_PER_S: Final = 10.0  # to nodes that asked us something and might join the table
SESSION_KEYS_MAX: Final = 512  # agreed keys kept for the peers used last; 130 bytes each
STRANGER_KEYS_PER_S: Final = 200  # key agreements (77 us each) with strangers, in any second
COLD_KEYS_PER_S: Final = 50.0  # of them without a cookie, which costs a round trip; with one
COOKIE_KEYS_PER_S: Final = 20.0  # per /24, or each of /48, /56 and /64,
COOKIE_KEYS_ALL_PER_S: Final = 60.0  # all of them together,
COOKIE_KEYS_QUIET_PER_S: Final = 40.0  # and beside that, for prefixes that had none for
COOKIE_QUIET_S: Final = 10.0  # so: 400 prefixes that take turns leave others the 60
STRANGER_KEYS_BURST: Final = 1 / 3  # of each rate at once, so that no second has more than all
CHALLENGES_PER_LINE_PER_S: Final = 400  # to an address or IPv6 /56: 10 us each,
CHALLENGES_PER_SUBNET_PER_S: Final = 1600  # to a /24 or /48,
CHALLENGES_PER_S: Final = 4000  # and in all; whoever gets none asks again
REQUESTS_PER_LINE_PER_S: Final = 400  # served to one public address or IPv6 /56: 20 us each,
REQUESTS_PER_SUBNET_PER_S: Final = 1600  # to a /24 or /48,
REQUESTS_PER_S: Final = 8000  # and in all that are not in the table
MALFORMED_TOLD_PER_MINUTE: Final = 32  # lines of a log, one a sender; the rest is counted
DEAF_S: Final = 60.0  # so long nobody is blamed for what nobody answers
DEPARTED_MANY: Final = 4  # of a table within DEPARTED_S, which by itself no hour brings (IPFS)
DEPARTED_S: Final = 60.0  # so long they are asked again, as long as a deaf node blames nobody
DEPARTED_ASK_FIRST_S: Final = 3.0  # after they went; then doubling up to
DEPARTED_ASK_EVERY_S: Final = 8.0  # so that a line that is back has its contacts within 15 s
DEPARTED_LOOK_S: Final = 0.5  # between two looks at who is due,
DEPARTED_AT_ONCE: Final = 32  # of whom so many are asked: 26 kB/s
DEPARTED_MAX: Final = 256  # remembered: more than a table of a million nodes has
BEHIND_S: Final = 0.05  # for what has arrived to be read, before an answer counts as missing
BEHIND_MAX: Final = 10  # times that, and then it does
COOKIE_LIFETIME_S: Final = 120.0  # WireGuard section 5.4.7: the cookie secret changes every 2 min
PROVIDERS_PER_ORIGIN_MAX: Final = PROVIDERS_PER_KEY_MAX // 8  # of a key whose places are all taken
CONTACT_RECORDS_MAX: Final = 20_000
POLICY_RECORDS_MAX: Final = 20_000  # of POLICY_MAX_BYTES each: 10 MB
POLICY_TTL_S: Final = 7 * 86400.0  # since it was last brought; most nodes that return do so in days
POLICY_STALE_S: Final = 3600.0  # who was away longer looks policies up before it announces
POLICY_MOMENT_S: Final = 120.0  # after a restart within that none is looked up but in its turn
POLICY_LOOK_PAUSE_S: Final = 1.0  # and else after it, beside all else: between two of them at most
POLICY_CATCH_UP_S: Final = 600.0  # and no longer: 30,000 of them, 16 at once
POLICY_HINTS_AT_ONCE: Final = 16  # lookups for an origin that says that a policy is outdated,
POLICY_HINTS_PER_S: Final = 1 / 60
POLICY_HINTS_ALL_AT_ONCE: Final = 64  # and for all of them
POLICY_HINTS_ALL_PER_S: Final = 1 / 10
RULE_UNITS_MAX: Final = 128  # that one Rule names: 5 KB
POLICY_REPUBLISH_S: Final = 2 * 86400.0  # by each that holds something under it, and its owner
POLICY_UNTOLD_S: Final = 2 * POLICY_REPUBLISH_S  # then who was there found out in its own turn
DOMAIN_LABEL_MAX_BYTES: Final = 64  # the failure-domain label of a contact record
PROVIDER_RECORD_MAX_BYTES: Final = 256  # packed; today's has at most 151, the rest is for later
CONTACT_RECORD_MAX_BYTES: Final = 768  # packed; today's has at most 680; both fit a datagram
POLICY_MAX_BYTES: Final = 512  # packed; today's has at most 260
GRANT_MAX_BYTES: Final = 384  # packed; today's has at most 278
RECEIPTS_FILE_MAX_BYTES: Final = 64 * MIB  # some 25,000 receipts as JSON
RECEIPTS_PER_UNIT_MAX: Final = 128  # kept by who put it; of holders that are gone, too
OWN_PUTS_SEEN_MAX: Final = 65_536  # of which something is to be written into their lists
LISTED_SETS_MAX: Final = 32  # of holders, in the row of a list; units of more have other holders
PUT_ROWS_BYTES: Final = 64 * KIB  # of a put of few units: pages of 4 KiB in the log of the ledger
RECEIPT_MAX_BYTES: Final = 1 * KIB  # packed; today's has at most 690
PEERS_SAVE_FIRST_S: Final = 10.0  # a young node learns fast and may be killed; then doubling up to
PEERS_SAVE_INTERVAL_S: Final = 600.0
RECORDS_SAVE_PAUSE_S: Final = 60.0  # what came meanwhile is written down together
RECORDS_SAVE_ROWS: Final = 512  # of records kept for others, at once
PEERS_TOLD_FIRST_S: Final = 30.0  # in the log: once a table has filled, then only what changed
PEERS_TOLD_INTERVAL_S: Final = 600.0

# --- transfer ---------------------------------------------------------------------------------
ALPN: Final = "dhtstore/1"
FRAME_HEADER_MAX_BYTES: Final = 512 * KIB  # a run of 5,800 36-byte CIDs in one offer fits
FRAME_PACK_BYTES: Final = 512 * KIB  # a frame takes small blocks until it holds this much
FRAME_BODY_MAX_BYTES: Final = BLOCK_SIZE_MAX_BYTES + FRAME_PACK_BYTES
NONCE_BYTES: Final = 32
NETWORK_PROOF_BYTES: Final = 32
REFUSAL_CODE_MAX_CHARS: Final = 32
REASON_MAX_CHARS: Final = 512
WANTS_PER_REQUEST_MAX: Final = 128  # measured best for 4 KiB blocks; bounds one request's memory
WANTS_AT_ONCE: Final = 8 * WANTS_PER_REQUEST_MAX  # asked for before others have the loop: ~5 ms
REQUESTS_IN_FLIGHT_MAX: Final = 64  # per connection and direction, requests not yet answered
UNKNOWN_FRAMES_MAX: Final = 64  # of a later version, in a row, that ask nothing
OUTGOING_FRAMES_MAX: Final = 4 * REQUESTS_IN_FLIGHT_MAX  # queued on a connection before it waits
WINDOW_BYTES: Final = 16 * MIB  # unanswered block bytes asked of one peer
WINDOW_START_BYTES: Final = 1 * MIB
WINDOW_DELAY_S: Final = 0.1  # queueing delay a window aims at (spikes: 100 ms in flight a holder)
WINDOW_SECOND_S: Final = 0.25  # that a request may wait behind another of the smallest window
WINDOW_RELAY_BYTES: Final = 4 * MIB  # at least, of who gives on what comes: its requests queue, too
WINDOW_RELAY_S: Final = 2.0  # for WINDOW_START_BYTES at most, or that would be long to wait behind
HEDGE_DELAY_MIN_S: Final = 0.1  # a want owed for less is not asked of a second holder
HEDGE_UNKNOWN_S: Final = 5.0  # that a block may still take, before who gave nothing yet is asked
HEDGED_SHARE: Final = 0.05  # of what a get fetched, that may be fetched twice, and one request
HEDGED_MIN_BYTES: Final = 512 * KIB  # so much in any case: what eight holders may give of a root
HOLDER_STALL_S: Final = 1.0  # silence of a holder, before what it owes may be given by others
HANDSHAKE_FRAME_MAX_BYTES: Final = 4 * KIB  # from a peer that has proved nothing yet
SERVED_READ_BYTES: Final = 4 * MIB  # blocks read for a peer in one go: waking a thread is dear
SERVED_READS_MAX: Final = 8  # such reads that are not yet sent, all links together
SERVED_READ_SLOW_BYTES: Final = 1 * MIB  # for who took less lately, and while others wait
SERVED_STALL_S: Final = 0.1  # of a peer that takes nothing, before its read makes place for others
SERVED_PARKED_BYTES: Final = 16 * MIB  # of such reads, which wait until their peers take more
FRAMES_AT_ONCE_PER_ORIGIN: Final = 512  # read, that answer nothing: 15 to 100 us of the loop each
FRAMES_PER_S_PER_ORIGIN: Final = 4000.0  # a get of 1 GB/s asks 1,000 times a second
FRAMES_AT_ONCE: Final = 1024  # of all origins
FRAMES_PER_S: Final = 8000.0
FRAMES_IN_A_TURN: Final = 16  # of one link, before others have a turn
PEER_REQUESTS_MAX: Final = 768  # unanswered, all links together; beyond, each link gets its share
WRONG_AT_ONCE: Final = 16  # blocks looked at because peers say they are wrong: a read and a hash
WRONG_PER_S: Final = 1.0
WRONG_AT_ONCE_PER_ORIGIN: Final = 4
WRONG_PER_S_PER_ORIGIN: Final = 1 / 30
WRONG_SURVEY_PAUSE_S: Final = 600.0  # between two looks at all units, for what has rotted
MEND_RETRY_FIRST_S: Final = 30.0  # after nobody gave what has rotted; then doubling up to
MEND_RETRY_MAX_S: Final = 86_400.0
MENDED_AT_ONCE: Final = 256  # blocks of a unit that are fetched anew together
DAMAGE_TOLD_MAX: Final = 64  # places of damaged blocks in the status of a node
DAY_S: Final = 86_400.0
SCRUB_EVERY_S: Final = 27 * DAY_S  # between the beginnings of two passes over all blocks
SCRUB_SPREAD_S: Final = 25 * DAY_S  # of a pass: each block is read again within 30 days, with slack
SCRUB_RATE_MAX_BYTES_PER_S: Final = 8 * MIB  # a slow disk gives 100: 20 TB in 30 days
SCRUB_SHARE: Final = 0.05  # of the time of one worker, by what its reads took
VERIFY_GOES_ON_S: Final = 7 * DAY_S  # a verify that was cut short, an hour each night of a week
DAMAGED_CARRIED_MAX: Final = 4096  # blocks that it found: 150 KB in a row of the ledger
SCRUB_STEP_BYTES: Final = 4 * MIB  # read in one go, unless it takes longer than
SCRUB_STEP_S: Final = 0.05  # that a worker is not there for others
SCRUB_STEP_BLOCKS: Final = 256
SCRUB_PAUSE_MAX_S: Final = 3600.0  # so that of a small store little is left to do after a start
SCRUB_FIRST_S: Final = 60.0  # after a start, which has enough to do
SCRUB_SAVED_S: Final = 60.0  # between two writes of how far it is; more is read twice after a crash
LOOKUPS_PER_UNIT_MAX: Final = 3  # without a block in between, before a get gives a unit up
HOLDERS_SILENT_S: Final = 1.0  # without a block of a unit, before others are looked for; doubling
HOLDERS_SILENT_LOOK_MAX_S: Final = 64.0  # up to so many seconds between two such looks
HOLDERS_LOOKED_FOR_FIRST_S: Final = 8.0  # while blocks come; doubling, for each look without news,
HOLDERS_LOOKED_FOR_MAX_S: Final = 512.0  # up to so many: 10 lookups in the first hour
FETCH_WANTS_MAX: Final = 4096  # blocks asked for or received and not yet written, per get
FETCH_VERIFY_BYTES: Final = 2 * MIB  # blocks verified in one go, if more are on their way
FETCH_VERIFY_BLOCKS: Final = 256  # and so many of them: each costs the event loop a little
FETCH_VERIFY_DELAY_S: Final = 0.005  # what the first of them waits at most
FETCH_MEMORY_BYTES: Final = 32 * MIB  # blocks asked for or received and not yet written, per get
FETCH_AHEAD_BYTES: Final = 7 * MIB  # of that, into a file: what came of it is lost by a SIGKILL
FETCH_AHEAD_FAR_BYTES: Final = 5 * MIB  # and beside what holders need, where that makes more
DIAL_TIMEOUT_S: Final = 5.0
DIAL_HEAD_START_S: Final = 0.25  # RFC 8305 section 5: of one address on the next
HANDSHAKE_TIMEOUT_S: Final = 10.0
RATE_MIN_BYTES_PER_S: Final = 16 * KIB  # of what a peer owes: slower, it keeps others waiting
VERIFY_RATE_MIN_BYTES_PER_S: Final = 4 * MIB  # of what a holder need not be sent; disks do 20
REQUEST_TIMEOUT_S: Final = 30.0  # silence on one request before it is given to another peer
CANCELLED_END_S: Final = 2 * REQUEST_TIMEOUT_S  # for a peer to end what is no longer wanted
IDLE_CONNECTION_TIMEOUT_S: Final = 60.0
IDLE_CROSSING_S: Final = REQUEST_TIMEOUT_S / 3  # before that, a link is used for nothing new
CONNECTIONS_MAX: Final = 512
CONNECTIONS_RESERVED: Final = 64  # of them, for links that this node dials
INBOUND_HANDSHAKES_MAX: Final = 64  # in TLS, and as many more that have not proved themselves yet
# Accepted streams in all: each of those before, and as many that are about to end.
STREAMS_ACCEPTED_MAX: Final = CONNECTIONS_MAX + 3 * INBOUND_HANDSHAKES_MAX
HANDSHAKES_AT_ONCE_PER_ORIGIN: Final = 128  # TLS, for strangers; 1 ms of the event loop each
HANDSHAKES_PER_S_PER_ORIGIN: Final = 32.0
HANDSHAKES_AT_ONCE: Final = 512  # of all origins
HANDSHAKES_PER_S: Final = 128.0  # an eighth of the event loop
LIMIT_MIN_BYTES_PER_S: Final = 100_000  # the largest block takes 21 s: less looks like silence
LIMIT_LOOK_S: Final = 20.0  # whether the time of day says another limit: no more often
LIMIT_BURST_S: Final = 0.25  # of a limit: what a pause lets move at once
LIMIT_PORTION_S: Final = 0.05  # of a limit: what is let through at a time, so that others get turns
LIMITED_PORTION_MIN_BYTES: Final = 4 * KIB
LIMITED_PORTION_MAX_BYTES: Final = 256 * KIB
BACKGROUND_WEIGHT: Final = 16  # bytes of the foreground for one of the background, where both wait
FAIR_IDLE_MAX: Final = 16  # who paid ahead and waits not, remembered beside as many as wait
SERVED_LATELY_S: Final = 1.0  # since blocks left for a peer, while the background stands back
BUSY_REST_S: Final = 1.0  # before a holder that is busy is asked again; then twice as long
BUSY_REST_MAX_S: Final = 15.0
BUSY_WAIT_MAX_S: Final = 600.0  # of nothing else: then it counts as refused
SERVED_PLACE_S: Final = 5.0  # without asking, before a peer has no share of a limit any more
LINK_RATE_HALF_LIFE_S: Final = 10.0  # what a link brought before counts half

# --- replication ------------------------------------------------------------------------------
DEFAULT_REPLICAS: Final = 3
REPLICAS_MAX: Final = 64
TTL_MAX_S: Final = 1e10  # of a policy: three centuries
MIN_ACKS_DEFAULT: Final = 2
PUT_NAME_MAX_CHARS: Final = 255  # what somebody calls a put; as long as any name of a file
OFFER_ROOM_S: Final = 3.0  # of it, for a collection that makes room; it goes on after that
OFFER_TIMEOUT_S: Final = 5.0  # to decide on an offer, while others keep room for the same put
RESERVATION_TTL_S: Final = 60.0  # renewed by progress
RELEASE_TIMEOUT_S: Final = 5.0  # to give back what a put that was cancelled had reserved
CHECK_TIMEOUT_S: Final = 20.0  # for a holder to be found, met and to look
CHECKS_AT_ONCE: Final = 16
GRANT_LOOK_S: Final = 20.0  # for a holder that is offered a unit under a grant to look who holds it
GRANT_LOOKS_AT_ONCE: Final = 4  # of them one an origin
CHECKED_PUTS_AT_ONCE: Final = 8  # side by side, when all that was put is checked
CHECK_TURN_S: Final = 6.0  # a question waits so long for its turn at a holder,
CHECK_LOOK_S: Final = 6.0  # and is looked into so long: then it is told "busy", within the above
CLAIM_ROW_BYTES: Final = 1 * KIB  # a claim beside its unit's roots and its policy: keys, indexes
TOMBSTONE_KEPT_S: Final = 400 * DAY_S  # a removal: who was away for a year hears of it
CLAIM_GRACE_S: Final = 86400.0  # after it expired: a clock that was set wrong costs nobody a copy
CLAIM_LOOKS_APART_S: Final = DAY_S  # of running, between the looks that find a claim over
CLOCK_DOUBTED_MAX_S: Final = 30 * DAY_S  # of running: peers that say our clock is off are believed
CLOCK_UNSET_UNIX_S: Final = 1_735_689_600.0  # 2025: before this was written no clock can be
RUNNING_SAVED_S: Final = 300.0  # how much of its running time a node that is killed forgets
LOST_GIVEN_UP_S: Final = 7 * DAY_S  # a unit of others that can't be had anew; holders come back
COLLECT_INTERVAL_S: Final = 86400.0  # between two looks, if nothing tells of garbage
COLLECT_SOON_S: Final = 60.0  # after something was left, so that one look does for several
COLLECT_STEP_PAUSE_S: Final = 0.005  # between steps of a millisecond or two: others come in between
STEP_BYTES: Final = 4 * MIB  # of blocks looked at before a worker is given back,
STEP_S: Final = 0.05  # or for so long
STEP_LEAF_BYTES: Final = 1 * KIB  # what a look at one counts for beside its bytes: some 10 us
MARKED_AT_ONCE: Final = 1024  # blocks, some 10 ms of a worker
WHY_BLOCKS_MAX: Final = 2_000_000  # looked at for one answer: some 20 s
WHY_REASONS_MAX: Final = 1000
CACHE_ROOTS_MAX: Final = 10_000  # of which the oldest use is forgotten first
CACHE_USE_WRITTEN_S: Final = 60.0  # uses that follow each other faster are one
CLAIMS_PER_UNIT_MAX: Final = 4096  # roots for which one owner claims one unit: daily for ten years
NEWCOMER_AGE_S: Final = 7 * 86400.0  # keys are free, a week is not: since its first claim here
NEWCOMERS_DIVISOR: Final = 2  # all newcomers together: this part of the capacity, and of the owners
ORIGIN_DIVISOR: Final = 4  # one /24 or /48: this part of the capacity
ORIGIN_COUNTS_DIVISOR: Final = 16  # and of owners and units, which cost a stranger next to nothing
OWN_ROOM_DIVISOR: Final = 10  # this part of the capacity is left to the node's own owner
OWNER_DIVISOR: Final = 2  # one owner, unless the operator says otherwise
OWNERS_MAX: Final = 65_536  # with a claim here: 500 bytes of memory each
# Of others: each is announced every round for as long as it is kept.  Shared as the capacity is.
FOREIGN_UNITS_MAX: Final = 65_536
PLACEMENT_KEYS_MAX: Final = 4  # neighbourhoods asked before a put settles for fewer copies
# Which of those near a key carry more (replication/ranking.py, docs/replication.md).
PLACEMENT_STEADINESS: Final = 4  # the power of its share of the time by which a node counts
# For what is short of copies: the uploaders' agreement is over, and who is away is replaced again.
REPAIR_STEADINESS: Final = 16
ROOM_RATIO_MAX: Final = (
    8.0  # times the median room near the key, and that part: room is only a word
)
ROOM_TOLD_S: Final = DAY_S  # for which what a node said of its room is believed
PASSED_OVER_TOLD_MAX: Final = 16  # of the candidates of a unit, those that were not asked
PRESENCE_GUESS: Final = 0.75  # of the time a node of which nothing is known is there
PRESENCE_GUESS_S: Final = 12 * 3600.0  # of watching that tell as much as that guess
PRESENCE_LOOK_S: Final = 3600.0  # between two looks at who was heard: entries are pinged that often
ABSENCE_SEEN_S: Final = 2 * 3600.0  # between two answers, and it was away: two pings may be lost
PRESENCE_REMEMBERED_S: Final = 28 * DAY_S  # then what was seen counts half
PRESENCES_MAX: Final = 2048  # nodes of whom that is known
# A copy moves to an emptier disk (replication/repair/moving.py).
MOVE_LOOK_S: Final = 4 * 3600.0  # between two looks for one
MOVE_MARGIN: Final = 0.15  # of its capacity that a node must be emptier
MOVE_PRESENCE_MIN: Final = 0.85  # of the time: eight hours of being there without a break
MOVE_ASKED_LOOKS: Final = 6  # before a node that was not emptier is asked again
MOVE_UNITS_MAX: Final = 256  # looked at for one, at random
MOVES_PER_LOOK_MAX: Final = 16
MOVE_BUDGET_DIVISOR: Final = 2  # of the day's budget for repairs: the rest stays for those
OFFERS_OPEN_MAX: Final = 256  # reservations a holder keeps open
OFFERS_PER_ORIGIN_MAX: Final = 64
OFFERS_PER_PEER_MAX: Final = 8
OFFERS_ORIGIN_ROOM_DIVISOR: Final = 4  # several of one origin: this part of what is free
PROMISE_SLACK_BYTES: Final = 16 * KIB  # a promised unit beside its blocks: pack headers, pages
RECEIVES_MAX: Final = 8  # units of strangers that come in at once
RECEIVE_MEMORY_BYTES: Final = 8 * MIB  # of blocks of one of them, so of all twice those of one get
REREAD_AT_ONCE_BYTES: Final = 16 * GIB  # of what is here already, for one origin that puts it again
REREAD_BYTES_PER_S: Final = 8 * MIB  # and then: 2 % of a core
REREAD_BLOCK_BYTES: Final = 64 * KIB  # what a small block counts as: reading it takes 140 us
LEFT_ANSWER_S: Final = 5.0  # for the answer to `leave`, before the node that has left ends
RECEIVE_WAIT_S: Final = 20.0  # for one of those places, before whoever asked takes it for silence
PACED_BLOCK_BYTES: Final = 4 * KIB  # that a smaller block counts as in a pace: 4 round trips a s
RECEIVE_GRACE_S: Final = 5.0  # before the rate of a receive is told by its first bytes
RECEIVE_FAIR_BYTES_PER_S: Final = 256 * KIB  # slower ones give way to others: 1 GiB in 68 minutes
PROGRESS_EVERY_BYTES: Final = 4 * MIB  # a holder says that often that it is at work
PROGRESS_EVERY_S: Final = REQUEST_TIMEOUT_S / 3  # and so often while small blocks trickle in
PROVIDERS_ASKED: Final = 8  # holders that one search of a get dials, of those that answer
DIALS_STAGGER_S: Final = 0.5  # without an answer, before a dial of a search makes place for another
RELAY_MEMORY_BYTES: Final = 32 * MIB  # of what is received, for those who get it from here
RELAY_BEGIN_S: Final = 5.0  # for a receive that is promised to begin
RELAY_HOLD_S: Final = REQUEST_TIMEOUT_S  # for a block that does not come; then it is "missing"
RELAY_SILENCE_S: Final = 10.0  # of a holder before this one, at least, before others are asked
RELAY_SILENCE_MAX_S: Final = 20.0  # at most: the uploader takes a longer one for an end
RELAY_LAST_S: Final = 1.0  # for who is asked only after those that were silent
RELAY_GAPS: Final = 4  # and so many times what it took between two blocks
UPSTREAMS_MAX: Final = 3  # holders before one, that it is told of
RELAY_DIAL_S: Final = 2.5  # to reach it: three round trips of 300 ms and TLS
RELAY_DIALS_AT_ONCE_PER_ORIGIN: Final = 64  # to holders that uploaders of one origin name
RELAY_DIALS_PER_S_PER_ORIGIN: Final = 2.0  # units of 256 MiB come more slowly
RELAY_DIALS_AT_ONCE: Final = 256
RELAY_DIALS_PER_S: Final = 16.0
REROUTES_MAX: Final = 64  # of one receive: as many as a put has holders
RELAY_LOOK_S: Final = 5.0  # between two looks at who keeps up with whom
RELAY_LAG_BYTES: Final = 32 * MIB  # behind its upstream, before a slow holder is fed directly, too

# --- health, audits, repair (docs/replication.md) ----------------------------------------------
REPAIR_LOOK_S: Final = 600.0  # between two looks of a holder at what is due
HOLDERS_LOOK_S: Final = 48 * 3600.0  # between two lookups of who else holds a unit, if all is well
HOLDERS_LOOK_SHORT_S: Final = 12 * 3600.0  # while a copy is lost, or fewer are known than wanted
FELLOW_PING_S: Final = 3600.0  # between two pings of a node that holds a unit of ours
FELLOW_PINGS_AT_ONCE: Final = 16
LINE_ASKED_MAX: Final = 4  # others, heard last, where no fellow answers: one of them is up
FELLOWS_UNMET_ASKED_MAX: Final = 256  # in a round, of those that never answered: 48 s of silence
FELLOWS_PER_LOOK_MAX: Final = 2048  # pinged in one look: 3.4 a second
SILENCE_GAP_MAX_S: Final = 2 * FELLOW_PING_S  # of silence between two pings that counts
GRACE_MIN_S: Final = 8 * 3600.0  # a partition of 6 h, or a night's maintenance, moves nothing
GRACE_FIRST_S: Final = 36 * 3600.0  # of a peer of which little is known: 1.1 % are away for longer
REPAIR_GRACE_MIN_S: Final = 60.0  # that may be chosen for GRACE_MAX_S, which scales all of these
REPAIR_GRACE_MAX_S: Final = 365 * DAY_S
GRACE_MAX_S: Final = 48 * 3600.0  # of IPFS's absences 0.5 % last longer
GRACE_FACTOR: Final = 4.0  # times its longest absence of the last
ABSENCES_REMEMBERED: Final = 16
ABSENCES_KNOWN_MIN: Final = 16  # before they tell anything: the longest of 4 is soon outdone
GRACE_WATCHED_S: Final = DAY_S  # of IPFS's nodes that are met, a tenth stays so long
STEADY_AWAY_MAX: Final = 0.02  # of the time: whoever is away more than restarts take is not steady
GRACE_URGENT_SHARE: Final = 0.5  # of its grace, after which who alone is silent is not waited for
GRACE_URGENT_SUM: Final = 0.8  # of such shares, where several are silent: a third less time alone
REPAIR_TURN_S: Final = 600.0  # that each rank waits for the one before
REPAIR_SLACK_DIVISOR: Final = 4  # of 4 copies one may lack before it is repaired, of 8 two
TRIM_SHARE: Final = 0.9  # of the target: so many copies must be expected to answer without it
# The probability that none of a unit's holders is there, by what was seen of each: above it there
# is one copy more, while fewer answer than are wanted and there are not SPARES_MAX too many.
UNREACHED_MAX: Final = 0.01
SPARES_MAX: Final = 2
# What was seen of a peer is held for this against a guess that it is always there, which weighs as
# much as so much watching: three that were away half of the time need a spare after 5 h of it.
ALWAYS_THERE_GUESS_S: Final = 6 * 3600.0
TRIM_AFTER_S: Final = 6 * 3600.0  # a copy is too many for so long, before it goes
PROVED_LATELY_S: Final = 3600.0  # the age of a proof that lets a surplus copy go
WEAKEST_TOLD: Final = 20  # objects that status names, the most endangered first
SHORT_TOLD_MAX: Final = 4096  # units with too few copies, of which status says what they wait for
# After it said last that its copy stays, a node drops it no sooner than after so many times that:
# who relied on it has dropped its own in the first, and is not counted by proofs of the last.
RELIED_ON_FACTOR: Final = 3
EVENTS_KEPT_MAX: Final = 10_000
REPAIR_BUDGET_DIVISOR: Final = 20  # of the capacity a node sends so much a day for repairs
REPAIRS_TOLD_MAX: Final = 1000  # units that `repair` tells of
REPAIRS_WAITING_MAX: Final = 1024  # units whose turn comes before the next round
LEAVES_AT_ONCE: Final = 4  # units that a node which leaves hands over: half of OFFERS_PER_PEER_MAX
LEAVES_SMALL_BYTES: Final = 64 * MIB  # of each of them; larger ones go one by one
HOLDERS_LOOKUPS_MAX: Final = 512  # of holders, in a round
HOLDERS_KNOWN_MAX: Final = 2 * REPLICAS_MAX  # of a unit
HOLDERS_TOLD_MIN: Final = 3  # index nodes that name a holder; half of K leave in half a day
PROOF_BLOCKS_MAX_BYTES: Final = 64 * MIB  # above a unit in its DAG, in memory to prove its place
AUDIT_EVERY_S: Final = 3.75 * DAY_S  # of two holders that share units: eight times in 30 days
AUDIT_SHARE_PER_DAY: Final = 0.0235  # of a unit's blocks, by all its auditors: they read them, too
AUDIT_SAMPLES_MAX: Final = 128  # of one unit in an audit, and of all units in a request
AUDIT_UNITS_MAX: Final = 64  # in a request
AUDIT_WAIT_S: Final = 8.0  # for its turn at a holder, which looks for
AUDIT_LOOK_S: Final = 20.0  # so long at most at a request
AUDIT_RTTS: Final = 4.0
AUDIT_RATE_MIN_BYTES_PER_S: Final = 8 * MIB  # of a disk, read at random in whole blocks
AUDIT_READ_SHARE_PER_DAY: Final = 0.025  # of what is kept, for all who ask
AUDIT_READ_SAVED_S: Final = 2 * AUDIT_EVERY_S  # of that ration that may come at once, beside
AUDIT_READ_FREE_BYTES: Final = 64 * MIB  # so that a small store is looked at, too
# Audits that are due are tried again in each round, an hour later.  In vain so often, though the
# holder answers, and its copy counts as missing: a week; a day, where it never proved any.
AUDITS_IN_VAIN_MAX: Final = 168
AUDITS_UNPROVED_MAX: Final = 24
AUDIT_ORIGIN_DIVISOR: Final = 2  # of what is left of it one origin has at most
YEAR_S: Final = 365.25 * DAY_S
LOSSES_PRIOR: Final = 1.0  # of holders for good, assumed to have been seen in
SAFE_PROVED_S: Final = 8 * DAY_S  # the age of a proof by which a copy still counts as looked after
LOSS_PRIOR_YEARS: Final = 1.0  # years of one holder: until more was watched, that is what is told

assert FIRST_REQUEST_PADDED_BYTES * AMPLIFICATION_MAX >= DATAGRAM_MAX_BYTES
assert (COLD_KEYS_PER_S + COOKIE_KEYS_ALL_PER_S + COOKIE_KEYS_QUIET_PER_S) * (
    1 + STRANGER_KEYS_BURST
) <= STRANGER_KEYS_PER_S
assert RPC_RETRANSMIT_MIN_S < RPC_TIMEOUT_MIN_S < RPC_INITIAL_TIMEOUT_S < RPC_TIMEOUT_MAX_S
assert PROVIDER_RECORD_MAX_BYTES + CONTACT_RECORD_MAX_BYTES + 128 < DATAGRAM_MAX_BYTES
assert LOOKUP_TIMEOUT_S > 2 * RPC_TIMEOUT_MAX_S
assert SCRUB_SPREAD_S < SCRUB_EVERY_S < 30 * DAY_S, "each block is verified within 30 days"
assert REPAIR_LOOK_S <= FELLOW_PING_S <= SILENCE_GAP_MAX_S < GRACE_MIN_S / 2
assert AUDIT_SHARE_PER_DAY < AUDIT_READ_SHARE_PER_DAY <= 0.05 / 2, "an auditor reads as much itself"
assert SAFE_PROVED_S > 2 * AUDIT_EVERY_S, "an audit may find nobody once"
assert RELIED_ON_FACTOR > 2, "two hours, and a while between judging and writing down"
assert GRACE_URGENT_SHARE < GRACE_URGENT_SUM < 2 * GRACE_URGENT_SHARE, "several are waited for less"
assert STEADY_AWAY_MAX * GRACE_WATCHED_S < FELLOW_PING_S, "in the first day no absence passes"
assert ABSENCES_KNOWN_MIN <= ABSENCES_REMEMBERED
assert HOLDERS_LOOK_SHORT_S < HOLDERS_LOOK_S < PROVIDER_TTL_S * 2
assert GRACE_MIN_S < GRACE_FIRST_S < GRACE_MAX_S < PROVIDER_TTL_S * 2
assert PROVIDERS_PER_ORIGIN_MAX * 2 <= PROVIDERS_PER_KEY_MAX, "one origin leaves room for others"
assert REPROVIDE_INTERVAL_S * 2 < PROVIDER_TTL_S, "a missed reprovide must not lose the record"
assert FOREIGN_UNITS_MAX * (REPROVIDE_PAUSE_S + REPROVIDE_SLOW_S / SWEPT_AT_ONCE) * 4 < (
    REPROVIDE_INTERVAL_S
), "all units are announced in a part of the interval: 65,536 at 8 a second in 2.3 hours"
assert POLICY_REPUBLISH_S * 2 * (1 + REPROVIDE_JITTER) < POLICY_TTL_S, "one may be missed"
assert CONTACT_RECORD_RENEW_S < REPROVIDE_INTERVAL_S * (1 - REPROVIDE_JITTER)
assert CHUNK_SIZE_BYTES <= BLOCK_SIZE_MAX_BYTES
assert BUZHASH_MIN_BYTES < BUZHASH_MAX_BYTES <= CHUNK_SIZE_BYTES, "receive buffers fit a chunk"
assert HAMT_THRESHOLD_BYTES <= BLOCK_SIZE_MAX_BYTES
assert UNIT_ROOTS_MAX_BYTES * 38 // 36 < FRAME_HEADER_MAX_BYTES, "msgpack adds 2 to 36 bytes"
assert HOLDERS_SILENT_S <= HOLDERS_SILENT_LOOK_MAX_S < HOLDERS_LOOKED_FOR_MAX_S
assert FRAME_BODY_MAX_BYTES >= BLOCK_SIZE_MAX_BYTES
assert WINDOW_BYTES >= 2 * BLOCK_SIZE_MAX_BYTES, "pipelining needs two blocks in flight"
assert DIAL_TIMEOUT_S < HANDSHAKE_TIMEOUT_S < REQUEST_TIMEOUT_S < IDLE_CONNECTION_TIMEOUT_S
assert BLOCK_SIZE_MAX_BYTES / LIMIT_MIN_BYTES_PER_S < REQUEST_TIMEOUT_S * 3 / 4
assert LIMIT_MIN_BYTES_PER_S > 4 * RATE_MIN_BYTES_PER_S
assert LIMIT_PORTION_S < LIMIT_BURST_S, "a timer that is late costs nothing"
assert RESERVATION_TTL_S >= REQUEST_TIMEOUT_S
assert GRANT_LOOK_S < REQUEST_TIMEOUT_S, "who waits hears why before it gives up"
assert OFFER_ROOM_S < OFFER_TIMEOUT_S, "who waits hears why before it gives up"
assert RESERVATION_TTL_S > 8 * OFFER_TIMEOUT_S, "those that reserved wait for others to be asked"
assert RELAY_BEGIN_S < RELAY_SILENCE_S < RELAY_SILENCE_MAX_S < REQUEST_TIMEOUT_S - 5, (
    "who waits hears why before it gives up"
)
assert RECEIVES_MAX * (RECEIVE_MEMORY_BYTES + BLOCK_SIZE_MAX_BYTES) <= 128 * MIB
assert WALK_LARGEST_BYTES + 4 * MIB < WALK_HELD_MAX_BYTES, "else one block is read over and over"
assert UNIT_SEEN_MAX * SEEN_DIGEST_BYTES <= RECEIVE_MEMORY_BYTES
assert RECEIVE_WAIT_S < REQUEST_TIMEOUT_S, "who waits for a place hears of it before it gives up"
assert RECEIVE_GRACE_S < RECEIVE_WAIT_S, "slow receives give way while others still wait"
assert RATE_MIN_BYTES_PER_S < RECEIVE_FAIR_BYTES_PER_S
assert OFFERS_PER_PEER_MAX < OFFERS_PER_ORIGIN_MAX < OFFERS_OPEN_MAX
assert OFFERS_ORIGIN_ROOM_DIVISOR > 1
