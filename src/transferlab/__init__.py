"""transferlab"""
