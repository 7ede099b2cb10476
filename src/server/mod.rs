//! Listeners, connections, dispatch and handlers.
