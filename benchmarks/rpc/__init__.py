"""What datagrams cost: find_node beside stock kademlia, 40 nodes on loopback, one under a flood."""
