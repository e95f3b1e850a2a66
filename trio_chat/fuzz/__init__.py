"""The protocol document as an adversary: it fuzzes any server that speaks it, and says which promise was broken.

`trio-chat fuzz URL` is the tool. In a program: `strategies` makes frames, steps and plans, `machine.run` does a plan
against a `target.Server`, and `campaign.fuzz` goes on until something is found and cut down. One run is read in this
order: `steps` (what is done), `model` and `laws` (what the document says of it), `crew` and `ear` (who does it, and
what each must hear), `promises` (what may be broken).
"""
