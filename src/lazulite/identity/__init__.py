"""Who may do what: token issuing and checking, principals, and Azure's built-in roles.

Everything is denied unless an assignment allows it. Must not know any HTTP route.
"""
