"""What all commands share: options, errors, printing, progress, pipes."""
