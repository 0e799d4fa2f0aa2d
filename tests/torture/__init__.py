"""The platform killed at random under load: nothing acknowledged is lost, nothing runs twice, nothing is left running."""
