"""The program from afar: its settings, facts and actions for those who sit at another machine."""
