"""Asking others: who was asked, how long an answer may take, and when it is not their fault."""
