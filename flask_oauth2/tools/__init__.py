"""What no request needs: the doctor, the simulation of clients, imports from other libraries, and an adapter."""
