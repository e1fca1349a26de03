"""Text processing: from files to word ids."""
