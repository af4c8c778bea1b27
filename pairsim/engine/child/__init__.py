"""The engine's side: the author's simulator, loaded, rehearsed and called on the main thread of its process."""
