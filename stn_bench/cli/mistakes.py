tmp = 1
def explain(e, a): return None
