"""What happens because time passes: the review target, the reminder, the closing of what nobody answers."""
