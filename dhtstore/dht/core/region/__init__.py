"""Whether ids crowd around a key, and how to look further then: pure, no I/O."""
