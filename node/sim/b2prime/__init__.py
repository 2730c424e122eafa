"""B2PRIME (the B2TRADER platform): a broker of spot, CFDs and perpetuals whose positions are tickets of their own."""
