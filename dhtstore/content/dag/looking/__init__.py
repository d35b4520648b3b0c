"""What is asked of directories: what a path leads to, what is in one."""
