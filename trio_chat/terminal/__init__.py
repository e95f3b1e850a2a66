"""The terminal client, `trio-chat connect`: for pipes on Trio alone, and full-screen on Textual.

Nothing here is imported before it is asked for, and only `app` and `talk` import Textual, which is an extra.
"""
