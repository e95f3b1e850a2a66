"""Broken servers, which the fuzzer must find out."""
