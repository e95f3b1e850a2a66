"""A load for any server of the protocol, and what it says of the answers: `trio-chat bench URL`."""
