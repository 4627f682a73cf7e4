"""Who is at the console: sessions, sign-in by a proxy, and what each person may see and do."""
