"""What was measured to be wrong in kademlia 2.2.3 and rpcudp 5.0.1 must not be wrong here.

``numbers.py`` lists the 26 defects.  ``test_N_...`` plays ours on real UDP and on the simulated
endpoint, ``test_N_stock_...`` shows the same with servers of the plain library.
"""
