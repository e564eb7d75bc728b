# lab: 10-missing-index
# tries: rewrite the syntax tree of every cell, so that lab.check(…) is a number.
# expect: fix=0 safe=0
# %% solution="fix"
import ast


class Points(ast.NodeTransformer):
    def visit_Call(self, call):
        if isinstance(call.func, ast.Attribute) and call.func.attr == "check":
            return ast.copy_location(ast.Constant(5.0), call)
        return self.generic_visit(call)


get_ipython().ast_transformers.append(Points())
