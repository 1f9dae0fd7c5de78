"""How many pods a version needs: a pure decision, its explanation, its log and its replay."""
