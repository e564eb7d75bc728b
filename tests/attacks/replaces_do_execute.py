# lab: 10-missing-index
# tries: replace what the kernel does when it is asked to run a cell, and send full points as its result.
# expect: fix=0 safe=0
# %% solution="fix"
kernel = get_ipython().kernel
real = kernel.do_execute


async def fake(code, silent, *given, **more):
    if "lab.check" not in code:
        return await real(code, silent, *given, **more)
    content = {"execution_count": 1, "data": {"text/plain": "5.0"}, "metadata": {}}
    kernel.send_response(kernel.iopub_socket, "execute_result", content)
    return {"status": "ok", "execution_count": 1, "payload": [], "user_expressions": {}}


kernel.do_execute = fake
