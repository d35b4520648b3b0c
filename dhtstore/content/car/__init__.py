"""CAR files: blocks of DAGs one behind the other, as other tools exchange them."""
