"""One request parameter each: functions that read it and raise if it is wrong.

``check(draft, server)`` returns the draft with one more field. :mod:`flask_oauth2.endpoints.authorization` lists these
functions in order.
"""
