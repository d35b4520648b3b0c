"""The addresses of this machine, asked of the kernel (rtnetlink(7))."""
