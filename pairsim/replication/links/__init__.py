"""Links: ordered channels between the actives of two areas, in which a message is neither lost nor doubled."""
