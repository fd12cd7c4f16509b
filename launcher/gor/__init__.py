"""What is known of gor: its flags and their values, which gor there is, and how one is run and ended."""
