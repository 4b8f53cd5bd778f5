"""Work that tests do in two processes which train together; see `children`."""
