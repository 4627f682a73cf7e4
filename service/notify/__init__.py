"""Notifications: people are told when something begins that needs them, and when it is over; never of single orders.

An alert is a condition, of one store or of all. ``alerts`` says which there are, ``readings`` reads what they depend
on, ``alert_state`` decides when one begins and ends, ``messages`` words that, ``notifier`` runs it all and delivers.
"""
