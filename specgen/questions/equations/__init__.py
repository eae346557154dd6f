"""Where an expression of one unknown whole number is zero."""
