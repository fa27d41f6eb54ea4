"""Pages and pictures that programs leave behind."""
