"""One module for each way in; what is in them is found by `tests.hostile.scene.all_attacks`."""
