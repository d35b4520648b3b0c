"""Whether copies are still there: holders are asked, and what they say is written down."""
