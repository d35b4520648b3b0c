"""One default node under attack beside an honest user: what strangers cost it, in figures."""
