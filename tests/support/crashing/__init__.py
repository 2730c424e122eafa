"""The whole daemon, killed again and again: a child that dies where it is told, and a witness that outlives it."""
