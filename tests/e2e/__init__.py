"""A real server process under real clients; only the hour of `test_seed_hour` is virtual."""
