"""Copies that go from holder to holder while they are received: who is served before a commit, from
what memory, and whom a holder asks."""
