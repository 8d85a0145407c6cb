"""Tools that no request needs: doctor, simulation, imports from other libraries and the flask-oauthlib adapter.

Only the commands and calls that use a tool import it.
"""
