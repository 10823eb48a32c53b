"""Settings of JupyterLab for ``make lab`` and Binder: nothing is fetched, and large photos arrive."""

c = get_config()  # noqa: F821 (JupyterLab defines it)

# by default it asks pypi.org for a newer version whenever it starts, and offers news and extensions
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.LabApp.news_url = None
c.LabApp.extension_manager = "readonly"

# by default files of more than 10 MB are dropped without a word
c.ServerApp.tornado_settings = {"websocket_max_message_size": 100 * 2**20}
