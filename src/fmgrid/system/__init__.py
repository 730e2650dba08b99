"""The operating system: files, locks, paths, processes and their memory."""
