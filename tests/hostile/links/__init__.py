"""What strangers and peers can make connections and the serving of blocks cost."""
