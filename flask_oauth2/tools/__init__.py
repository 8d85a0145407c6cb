"""Tools that no request needs: doctor, simulation, imports from other libraries and ``bind_sqlalchemy``.

Only the commands and calls that use a tool import it.
"""
