"""What of a DAG leaves it as one stream."""
