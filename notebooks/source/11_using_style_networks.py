# %% [markdown] tags=["title"]
# # 11 · Using style networks
#
# *Question*: One network, many styles, any photo: how far does it go?
#
# *Time*: 45 minutes to read and try; less than two minutes of computing on a laptop without a GPU.
#
# In lesson 10 a network learnt to paint. Here we use what others have trained: one network that holds many styles
# comes with the package. You give it your own photos, mix its styles, take it apart to see how little a style is, and
# find its limits: what it has never seen, what it cannot see, and what it makes up. At the end it runs without PyTorch.

# %%
import copy
import importlib.util
import itertools
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ipywidgets as widgets
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib_inline.backend_inline import set_matplotlib_formats
from PIL import Image
from torch import nn

from nstlib import Objective, VGGFeatures, get_preset, load_model, model_names, resize, side_by_side, stylize, transfer
from nstlib.course import anatomy, check, curve, figures, profile_for, show
from nstlib.course.anatomy import Table
from nstlib.course.widgets import upload_photo
from nstlib.data import gallery
from nstlib.feedforward.export import check_onnx, export_onnx
from nstlib.feedforward.layers import ConvLayer, InstanceNorm
from nstlib.feedforward.models import style_weights, styles_of
from nstlib.feedforward.transformer import TransformerNet
from nstlib.images import to_pil
from nstlib.runtime import pick_device

set_matplotlib_formats("jpeg", pil_kwargs={"quality": 62})  # paintings are all detail; this keeps the file small
profile = profile_for("11_using_style_networks")
profile

# %% [markdown]
# ## 1 · A painter who is ready
#
# `load_model` reads a trained network from the package. Each carries a **card**: what it was trained on, for how long,
# with which loss. A network without its card is a stranger; read the card before you trust it.

# %%
networks = {name: load_model(name) for name in model_names()}
rows = []
for name, net in networks.items():
    stages = [*net.card.get("before", []), net.card]
    numbers = sum(p.numel() for p in net.parameters())
    minutes = sum(stage["seconds"] for stage in stages) / 60
    crops = sum(stage["pictures"] for stage in stages)
    rows.append([name, net.styles, net.config["width"], numbers, crops, f"{minutes:.0f}", stages[-1]["size"]])
Table(["network", "styles", "width", "numbers", "crops seen", "minutes", "crop, pixels"], rows)

# %% [markdown]
# The one that we use is called `many`. `for_inference` makes a faster copy that can no longer learn.

# %%
many = networks["many"]
styles = styles_of(many)
fast = many.for_inference(device=pick_device())
config = many.card["config"]
print(", ".join(styles))
print(f"learnt from {config['photos']} photos; judged by: {many.card['extractor']} VGG-19")

# %%
photo = gallery.content("chelsea", profile.size * 5 // 4)
painted = stylize(fast, photo, styles.index("waves"))
show({"a photo": photo, "a style that it holds: waves": gallery.style("waves", 320), "painted": painted}, width=7)

# %% [markdown]
# `stylize(network, photo, style)` is all. No loss, no gradient, no step: the photo goes through the network *once*.

# %% tags=["test"]
assert painted.shape == photo.shape
assert painted.min() >= 0
assert painted.max() <= 1
assert (painted - photo).abs().mean() > 0.05
assert len(styles) == many.styles == len(set(styles))

# %% [markdown]
# ## 2 · Your photo, a style: at once
#
# Choose a photo; it stays on the machine that runs this notebook. Then go through the styles. There is no button to
# start anything, for there is nothing to wait for.

# %%
mine = upload_photo("coffee")
chosen = widgets.Dropdown(options=styles, value="stained_glass", description="style")
window, took = widgets.Image(format="jpeg"), widgets.Label()


def paint_mine(_=None):
    begin = time.perf_counter()
    picture = stylize(fast, mine.image(profile.size * 3 // 2), styles.index(chosen.value))
    took.value = f"{mine.name}: {picture.shape[3]} x {picture.shape[2]} pixels in {time.perf_counter() - begin:.2f} s"
    window.value = figures.jpeg(figures.enlarged(picture, 480))
    return picture


mine.button.observe(paint_mine, "value")
chosen.observe(paint_mine, "value")
my_picture = paint_mine()
widgets.VBox([mine.widget, chosen, took, window])

# %% [markdown]
# What it shows first, for those who read without a kernel:

# %%
show({mine.name: mine.image(profile.size * 3 // 2), chosen.value.replace("_", " "): my_picture}, width=5.6)

# %% [markdown]
# Save what you like: `from nstlib import save`, then `save(my_picture, "mine.png")`. From a terminal the same is
# `nst stylize photo.jpg --model many --style stained_glass -o mine.png`, and a whole folder works, too.
#
# ## 3 · Six styles on one photo
#
# Report 000 trained "various" styles, one network each, about 8 hours each on a GPU. Here one network holds them all.
# In the corner of each picture is the style that it was told. The photo goes in six times; only a number changes.


# %%
def with_corner(picture, style, share=0.3):
    """The picture with a small square of its style in the lower right corner, framed in white."""
    side, picture = round(min(picture.shape[2:]) * share), picture.clone()
    height, width = style.shape[2:]
    cut = min(height, width)
    square = style[:, :, (height - cut) // 2 :, (width - cut) // 2 :][:, :, :cut, :cut]
    picture[:, :, -side - 3 :, -side - 3 :] = 1
    picture[:, :, -side:, -side:] = resize(square, (side, side))
    return picture


at_hand = [s for s in ("stained_glass", "waves", "autumn", "nocturne", "cubist", "golden") if s in styles]
six = {s: stylize(fast, photo, styles.index(s)) for s in at_hand}
show(
    [with_corner(six[s], gallery.style(s, 160)) for s in six], [s.replace("_", " ") for s in six], columns=3, width=7.4
)

# %% [markdown]
# And any photo: report 000 shows a kitten, a portrait and a landscape. The kitten you have seen; the portrait wears the
# colours of van Gogh's *Café Terrace*, and the cup those of *The Great Wave*. (The pictures of the old paintings are
# not in this repository. The network knows them, and that is enough.)

# %%
pairs = [("astronaut", "cafe_terrace"), ("coffee", "great_wave"), ("rocket", "nocturne")]
shown = [(c, s) for c, s in pairs if s in styles]
any_photo = [
    stylize(fast, gallery.content(c, profile.size * 3 // 2), styles.index(s))[:, :, : profile.size] for c, s in shown
]
show(any_photo, [f"{c}: {s.replace('_', ' ')}" for c, s in shown], width=7.5)

# %% tags=["test"]
for a, b in itertools.combinations(six.values(), 2):
    assert (a - b).abs().mean() > 0.03  # six styles, not one
stretched = stylize(fast, resize(photo, (61, 95)), 0)
assert stretched.shape[2:] == (61, 95)  # any size and shape, no multiple of anything

# %% [markdown]
# ## 4 · How much is a style?
#
# The convolutions are the same for all styles. What differs is what stands *behind* each convolution. Instance
# normalisation brings each feature map $x_c$ to mean 0 and variance 1; then it is scaled and shifted, and this scale
# $\gamma$ and shift $\beta$ depend on the style $s$:
#
# $$y_c \;=\; \gamma_{s,c}\; \frac{x_c - \mu_c}{\sqrt{\sigma_c^2 + \varepsilon}} \;+\; \beta_{s,c}$$
#
# In nstlib that is `InstanceNorm`: `weight` is $\gamma$, `bias` is $\beta$, each a table with a row for each style.
# (Dumoulin, Shlens and Kudlur, 2017, call it *conditional instance normalisation*.)

# %%
norms = {name: m for name, m in many.named_modules() if isinstance(m, InstanceNorm)}
Table(["normalisation", "styles", "feature maps"], [[name, *m.weight.shape] for name, m in norms.items()])

# %% [markdown]
# **Exercise: what does one more style cost?** Count the numbers that belong to *one* style, in the whole network.

# %% tags=["exercise"]
# SOLUTION
# STUDENT: cost = ...  # your code here
cost = sum(2 * norm.weight.shape[1] for norm in norms.values())
# END SOLUTION


# %%
def count(net):
    return sum(p.numel() for p in net.parameters())


check.number(
    "what one more style costs",
    cost,
    (count(many) - count(many.single(0))) / (many.styles - 1),
    tolerance=0,
    hint=["Add up the feature maps of the table above.", "Each map has a scale and a shift: two numbers."],
    why=f"That is {100 * (count(many) - count(many.single(0))) / (many.styles - 1) / count(many.single(0)):.1f} % of a "
    "network for one style. All the rest is shared: it can paint; the style says what.",
)

# %% [markdown]
# Gatys' method describes a style by its Gram matrices, the network by these rows. How large is each description?

# %%
extractor = VGGFeatures(weights="compact", pooling="avg", device=pick_device())
of_grams = sum(n * (n + 1) // 2 for n in (extractor.channels(f"relu{k}_1") for k in range(1, 6)))
of_row = sum(2 * m.weight.shape[1] for m in norms.values())
picture_numbers = gallery.style("waves", config["style_size"]).numel()
sizes_of = {"the style picture": picture_numbers, "its five Gram matrices": of_grams, "its row in the network": of_row}
Table(["description of a style", "numbers"], [[k, v] for k, v in sizes_of.items()])

# %% tags=["test"]
assert of_row < of_grams < picture_numbers
assert count(many) == count(many.single(0)) + (many.styles - 1) * of_row
for index in (0, many.styles - 1):  # one row alone answers as the whole does
    assert torch.equal(stylize(many.single(index).eval(), photo), stylize(copy.deepcopy(many).eval(), photo, index))

# %% [markdown]
# Here they all are: a line for each style, a column for each feature map, from the first layer to the last. Red: this
# style turns the map up, compared with the mean of all styles. Blue: down.

# %%
with torch.no_grad():
    gammas = torch.cat([m.weight for m in norms.values()], 1)
    table = torch.cat([torch.cat([m.weight, m.bias], 1) for m in norms.values()], 1)
labels = [s.replace("_", " ") for s in styles]
figure, (ax,) = anatomy.panels(1, 7.8, 2.9)
ax.imshow(gammas - gammas.mean(0), cmap="RdBu_r", vmin=-0.6, vmax=0.6, aspect="auto", interpolation="nearest")
ends = np.cumsum([m.weight.shape[1] for m in norms.values()])
for end in ends[:-1]:
    ax.axvline(end - 0.5, color="white", lw=1.2)
places = {"first, down": 0, "five residual blocks, twice 64 maps each": ends[2], "up": ends[-3]}
ax.set_xticks(list(places.values()), list(places), ha="left")
ax.set_yticks(range(len(labels)), labels)
ax.tick_params(length=0)
ax.grid(visible=False)
ax.set_title("the scales of all styles, each against the mean of its column", loc="left")
figure

# %% [markdown]
# No map belongs to one style. All painters use the same brushes, some press harder on some of them.
#
# A row is a point in a space of many dimensions. Which points are near each other? Below is the flat map that keeps
# most of the distances (the two largest principal components). Each point is the cat's eye in that style. (Where two
# would cover each other, they are moved apart a little.)

# %%
centred = table - table.mean(0)
u, strength, _ = torch.linalg.svd(centred, full_matrices=False)
kept = (strength[:2] ** 2).sum() / (strength**2).sum()
spots = u[:, :2] * strength[:2]
spots = (spots - spots.amin(0)) / (spots.amax(0) - spots.amin(0))
for _ in range(200):  # the pictures must not cover each other
    for i, j in itertools.combinations(range(many.styles), 2):
        step = spots[i] - spots[j]
        if abs(step[0]) < 0.11 and abs(step[1]) < 0.21:
            spots[i, 0] += 0.004 * torch.sign(step[0])
            spots[j, 0] -= 0.004 * torch.sign(step[0])

figure, (ax,) = anatomy.panels(1, 8.6, 4.9)
h, w = photo.shape[2:]
for i, (x, y) in enumerate(spots.tolist()):
    eye = stylize(fast, photo, i)[:, :, h // 4 : h * 2 // 3, w // 4 : w * 11 // 20]
    image = OffsetImage(to_pil(resize(eye, (62, 62))), zoom=0.75)
    ax.add_artist(AnnotationBbox(image, (x, y), pad=0.1, bboxprops={"edgecolor": "#9aa0a6"}))
    ax.annotate(labels[i], (x, y), (0, -32), textcoords="offset points", ha="center", fontsize=9)
ax.set(xlim=(-0.1, 1.1), ylim=(-0.17, 1.12), xticks=[], yticks=[], frame_on=False)
ax.set_title(f"styles as points: the two directions in which they differ most ({kept:.0%} of all)", loc="left")
figure

# %%
apart = torch.cdist(table, table)
apart.fill_diagonal_(torch.inf)
near = divmod(apart.argmin().item(), many.styles)
apart.fill_diagonal_(0)
far = divmod(apart.argmax().item(), many.styles)
print(f"nearest: {labels[near[0]]} and {labels[near[1]]}, {apart[near].item():.1f} apart")
print(f"farthest: {labels[far[0]]} and {labels[far[1]]}, {apart[far].item():.1f} apart")

# %% [markdown]
# Do not trust the map too far: the larger part of the differences is *not* on it, and even the nearest two are not
# close.
#
# ## 5 · Two styles mixed
#
# A style is a list of numbers. Then nothing keeps us from taking the mean of two lists:
#
# $$\gamma = (1 - t)\,\gamma_a + t\,\gamma_b, \qquad \beta = (1 - t)\,\beta_a + t\,\beta_b$$
#
# The network was never shown such a row in training. **Guess first**: how will its picture look, beside the two
# finished pictures laid half transparent over each other, like two slides in a projector?
#
# - `"a"` exactly the same
# - `"b"` quite another: noise, for a row that nobody has trained means nothing
# - `"c"` much alike, but with more contrast and colour

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_mean = ...  # "a", "b" or "c"
guess_mean = "c"
# END SOLUTION


# %%
def between(a, b, t):
    """Weights of all styles: 1 - t of a, t of b."""
    shares = torch.zeros(many.styles)
    shares[styles.index(a)] += 1 - t
    shares[styles.index(b)] += t
    return shares


one, other = "waves", "autumn"
steps = [0, 0.25, 0.5, 0.75, 1]
mixed = [stylize(fast, photo, between(one, other, t)) for t in steps]
show(mixed, [f"{1 - t:.0%} {one}" for t in steps], width=9)

# %% [markdown]
# Step by step, hatchings turn into dabs, and blue into orange. Now you. The slider knows all styles; each answer is a
# fresh pass through the network.

# %%
left = widgets.Dropdown(options=styles, value=one, description="from")
right = widgets.Dropdown(options=styles, value=other, description="to")
slider = widgets.FloatSlider(value=0.5, min=0, max=1, step=0.05, description="t", readout_format=".2f")
canvas, answer_time = widgets.Image(format="jpeg"), widgets.Label()


def mix(_=None):
    begin = time.perf_counter()
    source = mine.image(profile.size) if mine.uploaded else resize(photo, profile.size)
    picture = stylize(fast, source, between(left.value, right.value, slider.value))
    seconds = time.perf_counter() - begin
    answer_time.value = f"answered in {seconds:.3f} s"
    canvas.value = figures.jpeg(figures.enlarged(picture, 480))
    return seconds


for knob in (left, right, slider):
    knob.observe(mix, "value")
print(f"an answer takes {sorted(mix() for _ in range(7))[3]:.3f} s")
widgets.VBox([widgets.HBox([left, right]), slider, answer_time, canvas])

# %% [markdown]
# And beside the slides in a projector? We look at the forehead, half and half; and because one pair proves nothing, we
# measure the **contrast** (standard deviation) of all pairs of our own styles, against the mean of the two ends.

# %%
faded = [(1 - t) * mixed[0] + t * mixed[-1] for t in steps]
h, w = photo.shape[2:]
forehead = (slice(None), slice(None), slice(0, h // 2), slice(w // 3, w * 4 // 5))
show({"rows mixed": mixed[2][forehead], "laid over each other": faded[2][forehead]}, width=5)

# %%
own = [s for s in gallery.style_names() if s in styles]
ends_by_style = {s: stylize(fast, photo, styles.index(s)) for s in own}
kept_by = {"rows mixed": [], "laid over each other": []}
for a, b in itertools.combinations(own, 2):
    of_ends = (ends_by_style[a].std() + ends_by_style[b].std()) / 2
    halfway = stylize(fast, photo, between(a, b, 0.5))
    kept_by["rows mixed"].append((halfway.std() / of_ends).item())
    kept_by["laid over each other"].append(((ends_by_style[a] + ends_by_style[b]).div(2).std() / of_ends).item())
contrast = {name: 100 * sum(v) / len(v) for name, v in kept_by.items()}
pairs_seen = len(kept_by["rows mixed"])
title = f"contrast half way, mean of {pairs_seen} pairs; 100 % is the mean of the two ends"
figures.bars(contrast, "%", width=6, title=title)

# %%
check.choice(
    "the mean of two rows",
    guess_mean,
    correct="c",
    explain={
        "a": "close; now compare the two crops and the two bars.",
        "b": "look at the middle of the row of five: a clean picture.",
        "c": "A style that nobody has painted, and nobody has trained. It does not fade, as slides do.",
    },
)

# %% [markdown]
# ### Why does it work?
#
# Behind the *first* normalisation the answer is simple: $\gamma$ and $\beta$ enter in a straight line, so the mean of
# two rows gives exactly the mean of the two outputs, the double exposure. But then comes a ReLU, and fourteen more
# normalisations, each of which brings the maps back to their full variance. From layer to layer the mixture leaves the
# straight line. (1 would be: as far from the mean as the two ends are from each other.)

# %%
captured = {}
hooks = [
    m.register_forward_hook(lambda _, __, out, name=name: captured.setdefault(name, []).append(out.detach().clone()))
    for name, m in norms.items()
]
with torch.no_grad():
    for t in (0, 0.5, 1):
        many(photo, between(one, other, t))
for hook in hooks:
    hook.remove()
away = {}
for name, (start, middle, end) in captured.items():
    halfway = (start + end) / 2
    away[name.replace("blocks.", "").replace(".norm", "")] = ((middle - halfway).norm() / (end - start).norm()).item()
anatomy.lines({"": away}, "how far the mixture is from the mean of the two, at each normalisation", "0 = on the line")

# %% tags=["test"]
values = list(away.values())
assert values[0] < 1e-5  # exactly linear here
assert max(values) > 0.02  # and not linear later
assert all((p - q).abs().mean() > 1e-3 for p, q in zip(mixed[1:-1], faded[1:-1]))
assert contrast["laid over each other"] < contrast["rows mixed"]
assert (mixed[0] - stylize(fast, photo, styles.index(one))).abs().mean() < 5e-3

# %% [markdown]
# Is the mixture *in* both styles? Let a judge speak who has no eyes for the photo: the style loss of each picture
# against both style pictures.

# %%
preset = get_preset("course_network")


def judged(picture, style, against=photo):
    """Weighted content and style loss of a picture, as the network's own training measured them."""
    home = extractor.device
    goal = Objective(preset, extractor, against.to(home), gallery.style(style, config["style_size"]).to(home))
    with torch.no_grad():
        content, loss, _ = goal.weighted_terms(goal.terms(picture.to(home)))[:, 0].tolist()
    return content, loss


figure, axes = anatomy.panels(2, 8.6, 2.8, sharey=True)
strays = {}
for ax, target in zip(axes, (one, other)):
    for label, pictures, colour in (("rows mixed", mixed, 0), ("laid over", faded, 1)):
        strays[label, target] = [judged(p, target)[1] for p in pictures]
        ax.plot(steps, strays[label, target], "o-", ms=4, color=figures.COLOURS[colour], label=label)
    ax.set_title(f"style loss against {target}", loc="left")
    ax.set_xlabel(f"t: from {one} to {other}")
axes[0].legend()
figure

# %% tags=["test"]
for label in ("rows mixed", "laid over"):
    assert strays[label, one][0] < strays[label, one][-1]  # each end suits its own style better
    assert strays[label, other][-1] < strays[label, other][0]

# %% [markdown]
# An exchange: what one style loses, the other gains, with no jump between. Mixing is a walk, not a switch. (And to this
# judge the slides in the projector are as good. The network's merit is the contrast, not the statistics.)
#
# **Exercise: three styles.** Write the weights of a picture that is half waves, three tenths nocturne, and stained
# glass for the rest. `styles` has the order; a weight for each of the network's styles; together they must be one.

# %% tags=["exercise"]
# SOLUTION
# STUDENT: weights = ...  # your code here: a tensor of many.styles numbers
weights = torch.zeros(many.styles)
weights[styles.index("waves")] = 0.5
weights[styles.index("nocturne")] = 0.3
weights[styles.index("stained_glass")] = 0.2
# END SOLUTION

# %%
ready = isinstance(weights, torch.Tensor) and weights.shape == (many.styles,) and abs(weights.sum() - 1) < 1e-3
wanted = stylize(fast, photo, style_weights(many, "waves=5,nocturne=3,stained_glass=2"))
three = stylize(fast, photo, weights) if ready else (... if weights is ... else weights)
check.picture(
    "three styles",
    three,
    like=wanted,
    tolerance=0.004,
    hint=["Begin with torch.zeros(many.styles).", "styles.index('waves') is the place of the first; the rest is 0.2."],
    why="In nstlib: style_weights(net, 'waves=5,nocturne=3,stained_glass=2'); at the command line: --style with the same.",
)

# %% [markdown]
# ### Unlike styles
#
# What is between two styles that have little in common: a pale print and leaded glass; or, of all the other pairs, the
# two whose rows are farthest apart?

# %%
print_and_glass = ("great_wave", "stained_glass")
others = [p for p in itertools.combinations(styles, 2) if set(p) not in ({one, other}, set(print_and_glass))]
strangers = max(others, key=lambda pair: apart[styles.index(pair[0]), styles.index(pair[1])])
unlike = [print_and_glass, strangers]
unlike = [pair for pair in unlike if set(pair) <= set(styles)]
line = [stylize(fast, photo, between(a, b, t)) for a, b in unlike for t in (0, 0.5, 1)]
names = [n.replace("_", " ") for a, b in unlike for n in (a, "half and half", b)]
show(line, names, columns=3, width=6.2)

# %% [markdown]
# Even so the middle is a picture. But look at what became of the *character*: the middle has a little of each, and is
# rather tame. The mean of two strong opinions is a weak one.
#
# ### Which layers hold the colours?
#
# We can also take the rows *apart*: the first layers with the row of one style, the last with that of another.


# %%
def crossed(first, second, taken):
    """A network with the rows of ``first``, but of ``second`` where a layer's name begins with one of ``taken``."""
    net = many.single(styles.index(first))
    for (name, norm), theirs in zip(net.named_modules(), many.single(styles.index(second)).modules()):
        if isinstance(norm, InstanceNorm) and name.startswith(taken):
            norm.load_state_dict(theirs.state_dict())
    return net.for_inference()


deeper = {"none": (), "up2": ("up2",), "up1, up2": ("up",), "and blocks": ("up", "blocks"), "all": ("",)}
hybrids = [stylize(crossed(one, other, taken or ("none",)), photo) for taken in deeper.values()]
show(hybrids, [f"{other}: {k}" for k in deeper], width=9)

# %% [markdown]
# In the second picture only the *last* normalisation is of the other style, and yet most of its colour has come, while
# the hatching of the waves is still there, stroke by stroke. The blocks in the middle decide on the strokes. How much of
# the way has the *colour* gone (the picture seen from far away), and how much the *strokes* (its fine structure)?

# %%
share_of = {}
ends_of = [hybrids[0], hybrids[-1]]


def colour(picture):
    return F.adaptive_avg_pool2d(picture, 12)  # what is left is colour without lines


def strokes(picture):
    return picture.mean(1) - F.avg_pool2d(picture.mean(1, keepdim=True), 9, 1, 4, count_include_pad=False)[:, 0]


def way(view, picture):
    """How far a picture has come from the first end (0) to the second (1), as ``view`` sees it."""
    start, path = view(ends_of[0]), view(ends_of[1]) - view(ends_of[0])
    return ((view(picture) - start) * path).sum().item() / path.pow(2).sum().item()


for view in (colour, strokes):
    share_of[view.__name__] = {k: way(view, p) for k, p in zip(deeper, hybrids)}
exchanged = {
    k: sum(2 * m.weight.shape[1] for n, m in norms.items() if t and n.startswith(t)) for k, t in deeper.items()
}
rows = [[k, exchanged[k], *(f"{share_of[v][k]:.0%}" for v in ("colour", "strokes"))] for k in deeper]
Table([f"rows of {other}", f"numbers exchanged, of {of_row}", "colour", "strokes"], rows)

# %% tags=["test"]
assert abs(share_of["colour"]["none"]) < 1e-6
assert abs(share_of["colour"]["all"] - 1) < 0.05
assert share_of["colour"]["up2"] > share_of["strokes"]["up2"]
assert exchanged["up2"] < 0.05 * of_row == 0.05 * exchanged["all"]

# %% [markdown]
# **Open question.** Make a hybrid that you would hang on a wall. `crossed("stained_glass", "nocturne", ("up",))` is a
# start. Names of layers: `first`, `down1`, `down2`, `blocks.0` to `blocks.4`, `up1`, `up2`. There is no check: look.

# %%
yours = stylize(crossed("stained_glass", "nocturne", ("up",)), mine.image(profile.size * 5 // 4))
show(yours, "glass in the colours of the night", width=3.4)

# %% [markdown]
# ## 6 · Beside Gatys
#
# Gatys' method paints by hundreds of steps of L-BFGS, each of which looks at the loss. The network has one pass and no
# loss at all: it *remembers* what made the loss small. We measure both with the same loss, that of the network's
# training (the preset `course_network`), against the same photo and the same style.

# %%
style = gallery.style(one, config["style_size"])
in_training = config["content_weight"] or preset.content_weight
print(f"content weight: {in_training:g} in the network's last training, {preset.content_weight:g} here, for both")
stylize(fast, photo, styles.index(one))  # the first pass makes ready; it is not timed


def clock(paint, times=5):
    """Median seconds of a call."""
    spent = []
    for _ in range(times):
        begin = time.perf_counter()
        paint()
        spent.append(time.perf_counter() - begin)
    return sorted(spent)[times // 2]


pass_seconds = clock(lambda: stylize(fast, photo, styles.index(one)))
options = {"optimizer": "lbfgs", "features": extractor, "style_size": config["style_size"]}
slow = transfer(photo, style, preset, steps=profile.steps, **options)
network_picture = stylize(fast, photo, styles.index(one))
show({"network, one pass": network_picture, f"Gatys, {profile.steps} steps": slow.image}, width=6.6)

# %%
ledger = {
    "the photo itself": (photo, 0),
    "network": (network_picture, pass_seconds),
    "Gatys": (slow.image, slow.seconds),
}
losses = {name: judged(picture, one) for name, (picture, _) in ledger.items()}
rows = [
    [n, f"{losses[n][0]:,.0f}", f"{losses[n][1]:,.0f}", f"{sum(losses[n]):,.0f}", f"{ledger[n][1]:.3f}"] for n in losses
]
Table(["", "content", "style", "sum", "seconds"], rows)

# %%
network_loss = sum(losses["network"])
caught = next((r for r in slow.records if r.content_total + r.style_total < network_loss), None)
if caught:
    print(f"Gatys reaches the network's loss at step {caught.step}, after {caught.seconds:.2f} s;")
    print(f"the network needs {pass_seconds:.3f} s: {caught.seconds / pass_seconds:.0f} times faster to the same loss,")
print(f"and {slow.seconds / pass_seconds:.0f} times faster than all {profile.steps} steps.")

# %% tags=["test"]
assert sum(losses["network"]) < 0.6 * sum(losses["the photo itself"])
assert losses["network"][1] < 0.3 * losses["the photo itself"][1]
assert pass_seconds < slow.seconds
assert slow.best.total < slow.records[0].total

# %% [markdown]
# The network's loss is not as small: it has seen thousands of photos but never this one, and one pass must do. Its mark
# is the *average*: strokes that suit any photo. Gatys' picture is made for this cat.
#
# Can we have both? Begin Gatys' method where the network ends:

# %%
begin_at = {"from the photo": photo, "from the network's picture": network_picture}
few = max(4, profile.steps // 5)
runs = {name: transfer(photo, style, preset, init=p, steps=few, **options) for name, p in begin_at.items()}
figure = curve({name: run.records for name, run in runs.items()}, f"the first {few} steps", width=5.6)
figure.axes[0].axhline(runs["from the network's picture"].records[0].total, color="#9aa0a6", ls="--", lw=1)
figure

# %%
finish = {f"{few} steps {name}": run.image for name, run in runs.items()}
show(finish, width=6)

# %% tags=["test"]
heads = {name: run.records[0].total for name, run in runs.items()}
assert heads["from the network's picture"] < heads["from the photo"]
assert runs["from the network's picture"].best.total < heads["from the network's picture"]

# %% [markdown]
# The dashed line is the network. A start that is nearly right saves the first steps, not the last ones: where both have
# run for a while, they differ little. If you need *one* picture as good as it gets, Gatys; for a film or a telephone,
# the network. Lesson 12 puts the whole bill on the table.
#
# ### A network of its own for one style
#
# Johnson's networks, and report 000's, hold one style each. Is a specialist better than the one for all? Where the
# package has such networks, here they are, beside the row of `many`. Read both columns: less of the one loss for more of
# the other is another taste, not a better painter.

# %%
specialists = {n: net for n, net in networks.items() if net.styles == 1 and set(styles_of(net)) <= set(styles)}
specialists = dict(sorted(specialists.items(), key=lambda pair: styles_of(pair[1])[0] not in gallery.style_names())[:2])
rows, compared = [], []
for net in specialists.values():
    (style_name,) = styles_of(net)
    alone = stylize(net.for_inference(device=pick_device()), photo)
    shared = stylize(fast, photo, styles.index(style_name))
    compared += [shared, alone]
    if style_name in gallery.style_names():  # the old paintings are not here to measure against
        for label, picture in (("many", shared), ("alone", alone)):
            content, loss = judged(picture, style_name)
            rows.append([f"{style_name}, {label}", f"{content:,.0f}", f"{loss:,.0f}", f"{content + loss:,.0f}"])
Table(
    ["", "content", "style", "sum"], rows
) if rows else "nothing to compare with here; lesson 10 trains such a network"

# %%
titles = [
    f"{styles_of(net)[0].replace('_', ' ')}, {kind}" for net in specialists.values() for kind in ("many", "alone")
]
show(compared, titles, columns=2, width=5.2) if compared else None

# %% [markdown]
# ## 7 · Sizes
#
# Report 000: a trained network transforms a picture "in a few seconds even without GPU". Here is the same photo at
# three sizes. (The photo is 512 pixels wide; the largest is enlarged.)

# %%
sizes = [profile.size, 2 * profile.size, 3 * profile.size]
astronaut = gallery.content("astronaut")
big = {side: resize(astronaut, side) for side in sizes}
row = styles.index("stained_glass")
for side in sizes:
    stylize(fast, big[side], row)
spent = {f"{p.shape[3]} x {p.shape[2]}": clock(lambda p=p: stylize(fast, p, row), 3) for p in big.values()}
where = "the GPU" if fast.last.weight.device.type == "cuda" else f"the CPU, threads: {torch.get_num_threads()}"
figures.bars(spent, "s", title=f"one picture, one pass, on {where}")

# %% [markdown]
# **Guess first.** The same photo, twice as many pixels on each side. What happens to the strokes?
#
# - `"a"` they are twice as wide, too: the picture looks the same, only sharper
# - `"b"` they keep their width in pixels: there are four times as many, and the style looks finer
# - `"c"` they get wider, but less than twice

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_size = ...  # "a", "b" or "c"
guess_size = "b"
# END SOLUTION

# %%
at = {side: stylize(fast, picture, row) for side, picture in big.items()}
show(list(at.values()), [f"{side} pixels" for side in sizes], width=7.4)

# %% [markdown]
# As a number. The **stroke width** here is the mean wavelength of the fine structure: what is left of the grey picture
# when a local mean is taken away, how large it is over how fast it changes, $2\pi\sqrt{E[d^2] / E[|\nabla d|^2]}$.


# %%
def stroke_width(picture):
    """Mean wavelength of the fine structure, in pixels."""
    grey = picture.mean(1, keepdim=True)
    d = grey - F.avg_pool2d(grey, 15, 1, 7, count_include_pad=False)
    slope = (d.diff(dim=3).pow(2).mean() + d.diff(dim=2).pow(2).mean()) / 2
    return (2 * torch.pi * (d.pow(2).mean() / slope).sqrt()).item()


widths = {f"{side} pixels": stroke_width(at[side]) for side in sizes}
far_from = {f"{side} pixels": judged(at[side], "stained_glass", big[side])[1] for side in sizes}
rows = [
    [k, f"{widths[k]:.1f}", f"{100 * widths[k] / side:.1f} %", f"{far_from[k]:,.0f}"] for k, side in zip(widths, sizes)
]
Table(["", "stroke width, pixels", "of the picture's side", "style loss"], rows)

# %%
check.choice(
    "twice the size",
    guess_size,
    correct="b",
    explain={
        "a": "compare the first column of the table: does it double?",
        "b": "A convolution counts in pixels, and knows nothing else.",
        "c": "compare the first column of the table.",
    },
)

# %% tags=["test"]
w = list(widths.values())
assert max(w) / min(w) < 1.35, widths
assert stroke_width(resize(at[sizes[0]], sizes[1])) > 1.3 * w[0]  # the measure does see wider strokes

# %% [markdown]
# The kernels of the network are a few pixels wide and were trained with strokes of a certain width *in pixels*: crops of
# one or two hundred pixels, a style picture of one size (the card has both). At 768 pixels they draw the same strokes,
# which now look tiny, and the style seems weak. **The size of the input is the knob for the strength of the style**,
# and the only one that a trained network has.
#
# **Exercise: broad strokes.** Make a picture of the astronaut with `sizes[1]` pixels on a side, whose strokes are about
# twice as wide as the network's own. You need nothing new: `resize`, `stylize`, `fast`, `row`.

# %% tags=["exercise"]
# SOLUTION
# STUDENT: broad = ...  # your code here: a picture of sizes[1] x sizes[1] pixels
broad = resize(stylize(fast, resize(astronaut, sizes[0]), row), sizes[1])
# END SOLUTION


# %%
def broad_enough(picture):
    wider = stroke_width(picture) / stroke_width(at[sizes[1]])
    if wider > 1.3 and (picture - big[sizes[1]]).abs().mean() > 0.06:
        return True
    return f"its strokes are {wider:.2f} times as wide as those of at[sizes[1]], or it is not painted."


check.picture(
    "broad strokes",
    broad,
    shape=(sizes[1], sizes[1]),
    test=broad_enough,
    hint=["At which size do the network's strokes look broad?", "Paint small; then enlarge what was painted."],
    why="It is soft, as enlarged pictures are. For sharp broad strokes, train with a larger style picture.",
)

# %% [markdown]
# ## 8 · How far does it see?
#
# One pixel of the output: which pixels of the photo does it depend on? First by the convolutions alone. As in lesson 01
# we *measure*: a copy of the network with all weights alike and without normalisation, the gradient of the pixel in the
# middle, and count where it is not zero.


# %%
class Nothing(nn.Module):
    def forward(self, x, rows):
        return x


def convolutions_alone(net):
    net = copy.deepcopy(net)
    for module in net.modules():
        if isinstance(module, ConvLayer):
            module.norm = Nothing()
        if isinstance(module, nn.Conv2d):
            module.weight.data.fill_(1 / module.weight[0].numel())
            module.bias.data.zero_()
    return net


square = gallery.content("chelsea", 480)[:, :, 10:298, 96:384]
empty = torch.full((1, 3, 288, 288), 0.5 + 1e-6, requires_grad=True)
(gradient,) = torch.autograd.grad(convolutions_alone(many).run(empty)[0, :, 144, 144].sum(), empty)
field = int((gradient[0, 0] > 0).any(0).sum())
seen = square.clone().requires_grad_()
(gradient,) = torch.autograd.grad(many(seen, styles.index("waves"))[0, :, 144, 144].sum(), seen)
influence = gradient[0].abs().sum(0)
half = field // 2
inside = influence[144 - half : 145 + half, 144 - half : 145 + half].sum() / influence.sum()
print(f"through the convolutions: {field} x {field} pixels")
print(f"with the normalisations: {(influence > 0).float().mean():.0%} of all {influence.numel():,} pixels,")
print(f"and {1 - inside:.0%} of the influence comes from outside of the {field} x {field}")

# %%
figure, axes = anatomy.panels(2, 6, 3.1)
axes[0].imshow(square[0].permute(1, 2, 0))
axes[0].set_title("what the middle pixel may see")
axes[1].imshow((influence / influence.max()) ** 0.25, cmap="magma")
axes[1].set_title("what it depends on (fourth root)")
for ax in axes:
    ax.add_patch(figures.frame_rectangle(field, field))
    ax.patches[0].set(xy=(144 - half, 144 - half), linewidth=1.5)
    ax.axis("off")
figure

# %% tags=["test"]
assert 90 < field < 130
assert (influence > 0).float().mean() > 0.9  # everything counts, through the means and variances
assert 0.3 < inside < 1

# %% [markdown]
# Two answers, then. The frame is what the convolutions see: strokes can follow shapes of this size, and none that are
# larger. But through the **mean and variance** of each map, every pixel of the photo changes every pixel of the
# painting. Not *where* something is comes that way, only *how much* of it there is.
#
# This has a consequence: a photo that is painted in two halves does not fit together, not even far from the cut.

# %%
whole = resize(astronaut, max(profile.size, 192))
middle = whole.shape[3] // 2
halves = [stylize(fast, whole[:, :, :, part], row) for part in (slice(0, middle), slice(middle, None))]
together, apart_painted = stylize(fast, whole, row), torch.cat(halves, 3)
far_away = slice(0, middle - half - 4)  # from here no convolution reaches the cut
seam = 255 * (apart_painted - together)[..., far_away].abs().mean().item()
print(f"where no convolution reaches the cut, the two still differ by {seam:.0f} grey levels")
band = (slice(None), slice(None), slice(0, middle))
show({"painted at once": together[band], "in two halves": apart_painted[band]}, width=6)

# %% tags=["test"]
assert seam > 1

# %% [markdown]
# ## 9 · Where it fails
#
# A network has learnt what was in its photos, and only that. **Guess first**, for each of these: what will it paint?
# Night; the cat with a hundredth of its contrast; a page of plain grey with noise of half a grey level, which nobody
# can see; black and white squares of *one* pixel; the same of eight pixels; a photo of 48 pixels.

# %%
generator = torch.Generator().manual_seed(0)
side = 208
y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
cat = square[:, :, 40 : 40 + side, 40 : 40 + side]
rocket = resize(gallery.content("rocket"), (side, side * 3 // 2))[:, :, :, 60 : 60 + side]
trials = {
    "night": rocket,
    "contrast 1 %": 0.5 + 0.01 * (cat - 0.5),
    "unseen noise": 0.6 + (torch.rand(1, 3, side, side, generator=generator) - 0.5) / 255,
    "squares of 1 px": ((x + y) % 2).float().expand(1, 3, side, side),
    "squares of 8 px": ((x // 8 + y // 8) % 2).float().expand(1, 3, side, side),
    "48 x 48 px": resize(square, (48, 48)),
}
outcome = {name: stylize(fast, picture, row) for name, picture in trials.items()}
big_enough = [resize(p, (side, side)) for p in (*trials.values(), *outcome.values())]
show(big_enough, list(trials), columns=6, width=8.2)

# %%
rows = [[name, f"{trials[name].std():.4f}", f"{outcome[name].std():.4f}"] for name in trials]
Table(["", "contrast of what goes in", "contrast of what comes out"], rows)

# %% tags=["test"]
deviation = {name: (trials[name].std().item(), outcome[name].std().item()) for name in trials}
assert deviation["unseen noise"][0] < 0.002
assert deviation["unseen noise"][1] > 0.1
assert deviation["contrast 1 %"][1] > 0.1
assert deviation["squares of 1 px"][0] > 0.4
assert deviation["squares of 1 px"][1] < 0.1

# %% [markdown]
# - **Flat areas.** The sky behind the rocket fills with glass. The style loss asks for lines *somewhere*, and in a sky
#   no content stands in their way.
# - **Contrast is thrown away.** Instance normalisation divides by the standard deviation, whatever it is. A cat of one
#   hundredth of the contrast comes out as strong as ever. That is what makes these networks work on dull photos.
# - **Something out of nothing.** The same division blows up noise that no eye sees into a painting. If a scanner's
#   white page, or a fade to black in your film, bursts into patterns: this is why.
# - **Fine patterns vanish.** Black and white squares of one pixel are a *blank page* to it. What repeats every two pixels
#   meets the stride of two always at the same phase: all numbers that come through are equal. And regular squares of
#   eight pixels become a carpet, with a frame: only at the rim is there anything that differs.
# - **Tiny pictures.** At 48 pixels the strokes are as wide as an eye. There is no room to paint.
#
# ### Turned, mirrored, shifted
#
# Turn the photo, paint it, turn it back: the same picture? The photos of the training were mirrored at random, but all
# stood upright, and so did the *style*. How much changes if the photo is first turned, mirrored, made grey, or moved?

# %%
moves = {
    "shifted by 4 px": (lambda p: p.roll(4, 3), lambda p: p.roll(-4, 3)),
    "without colour": (lambda p: p.mean(1, keepdim=True).expand(-1, 3, -1, -1), lambda p: p),
    "shifted by 1 px": (lambda p: p.roll(1, 3), lambda p: p.roll(-1, 3)),
    "mirrored": (lambda p: p.flip(3), lambda p: p.flip(3)),
    "turned by 90°": (lambda p: p.rot90(1, (2, 3)), lambda p: p.rot90(-1, (2, 3))),
}
turn = styles.index("waves")
still = stylize(fast, square, turn)
moved = {name: back(stylize(fast, there(square), turn)) for name, (there, back) in moves.items()}
changed = {name: 255 * (p - still)[:, :, 16:-16, 16:-16].abs().mean().item() for name, p in moved.items()}
figures.bars(changed, "grey levels", width=6, title="how much the painting changes, in the mean")

# %%
picked = ("without colour", "mirrored", "turned by 90°")
show({"as it is": still, **{n: moved[n] for n in picked}}, columns=4, width=7.6)

# %% tags=["test"]
assert changed["shifted by 4 px"] < 0.5 * changed["shifted by 1 px"]
assert changed["shifted by 4 px"] < changed["mirrored"]
assert changed["shifted by 4 px"] < changed["turned by 90°"]

# %% [markdown]
# - **Hatchings have a direction of their own.** They run as the network has learnt, and do not turn with the photo. (The
#   last two pictures are turned *back*; look where their hatchings run.) That is as it should be: the painter's hand
#   does not turn with the cat. But a photo that lies on its side gets other strokes.
# - **Colour hardly matters**: the cat without colour gets the style's colours all the same; only
#   here and there a patch changes sides. The network paints mostly by light and dark.
# - **One pixel matters more than four.** The network halves the picture twice, so it has a grid of 4 x 4 pixels. Move
#   the photo by four, and the strokes move along; by one, and many are drawn anew. A film *flickers* for that.
#
# ### Once more, please
#
# What if we paint the painting, again and again?

# %%
again, totals = [network_picture], [losses["network"]]
for _ in range(7):
    again.append(stylize(fast, again[-1], turn))
    totals.append(judged(again[-1], one))
shown = (0, 1, 7)
show([again[k] for k in shown], [f"{k + 1} pass" + "es" * (k > 0) for k in shown], width=7)

# %%
rows = [[k + 1, f"{v[0]:,.0f}", f"{v[1]:,.0f}", f"{sum(v):,.0f}"] for k, v in enumerate(totals)]
Table(["passes", "content loss", "style loss", "sum"], rows)

# %% tags=["test"]
assert totals[-1][0] > totals[0][0]  # with each pass more of the photo is lost
assert sum(totals[-1]) > sum(totals[0])

# %% [markdown]
# A second pass makes the strokes stronger, and that can please. But each pass forgets more of the photo, and the style
# gains little or nothing. The network was trained on photos, and a painting is no photo.
#
# ## 10 · Without PyTorch
#
# A network that runs only where PyTorch is installed will never be in a telephone or a web page. **ONNX** is a file
# format for networks that many programs read. `export_onnx` writes one with *free* height and width, and with the
# weights of the styles as a second input: mixing works there, too.

# %%
missing = [n for n in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(n) is None]
small = TransformerNet(norm="conditional", styles=2, width=4, blocks=1)  # for quick tests: export takes its time
to_export = small if profile.size < 200 else many
folder = tempfile.TemporaryDirectory()
file = Path(folder.name, "painter.onnx")
if missing:
    print(f"{', '.join(missing)} not installed: pip install 'nstlib[onnx]', then run this section again.")
else:
    begin = time.perf_counter()
    export_onnx(to_export, file)
    print(f"{file.name}: {file.stat().st_size / 1e6:.1f} MB, written in {time.perf_counter() - begin:.0f} s")
    print(f"largest difference from PyTorch, over sizes and styles: {check_onnx(to_export, file):.1e} (of 0 to 1)")

# %% [markdown]
# Now run it in a program of its own, in which importing torch is **made impossible**. All it has is numpy, Pillow and
# onnxruntime. Three pictures of three shapes; the last in a mixture of two styles.

# %%
program = """
import sys
sys.modules["torch"] = None  # from here on, "import torch" fails
import time
import numpy as np
import onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession("painter.onnx", providers=["CPUExecutionProvider"])
for name in sys.argv[1:]:
    pixels = np.asarray(Image.open(name + ".png"), dtype=np.float32) / 255
    image = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        (painted,) = session.run(["painted"], {"image": image, "style": np.load(name + ".npy")})
        seconds.append(time.perf_counter() - begin)
    print(f"{name}: {image.shape[3]} x {image.shape[2]} pixels in {min(seconds):.2f} s")
    np.save(name + "_painted.npy", painted)
try:
    import torch
except ImportError:
    print("and torch cannot be imported here")
"""
last, side = to_export.styles - 1, profile.size * 3 // 2
rows_of = torch.eye(last + 1)
chosen_rows = {"waves": rows_of[styles.index("waves") % (last + 1)][None], "autumn": rows_of[0][None]}
jobs = {
    "wide": (resize(gallery.content("coffee"), (side // 2, side * 3 // 4)), chosen_rows["waves"]),
    "square": (resize(astronaut, (side // 2, side // 2)), chosen_rows["autumn"]),
    "odd": (resize(photo, (side // 2 + 1, side * 3 // 4 + 1)), (chosen_rows["waves"] + chosen_rows["autumn"]) / 2),
}
without, differences = {}, {}
if not missing:
    for name, (picture, share) in jobs.items():
        to_pil(picture).save(Path(folder.name, f"{name}.png"))
        np.save(Path(folder.name, f"{name}.npy"), share.numpy())
    done = subprocess.run([sys.executable, "-c", program, *jobs], cwd=folder.name, capture_output=True, text=True)
    print(done.stdout or done.stderr[-500:])
    exact = to_export.for_inference("float32", "cpu")
    for name, (_, share) in jobs.items():
        without[name] = torch.from_numpy(np.load(Path(folder.name, f"{name}_painted.npy")))
        as_saved = torch.from_numpy(np.asarray(Image.open(Path(folder.name, f"{name}.png"))).copy())
        expected = stylize(exact, as_saved.permute(2, 0, 1)[None].float() / 255, share)
        differences[name] = (without[name] - expected).abs().max().item()
    print({name: f"{d:.1e}" for name, d in differences.items()}, "from PyTorch")

# %%
show(side_by_side(list(without.values()), list(without), height=240)) if without else None

# %% tags=["test"]
if not missing:
    assert "torch cannot be imported" in done.stdout
    assert len(differences) == 3
    assert max(differences.values()) < 2e-3
    assert all(without[n].shape == jobs[n][0].shape for n in jobs)
folder.cleanup()

# %% [markdown]
# The difference is rounding: a grey level would be 4e-3. One file of about two megabytes holds all styles, for any
# size, and needs no PyTorch. At the command line: `nst export`.
#
# ## 11 · What the reports found

# %%
largest = list(spent)[-1]
print(f"report 000: a few seconds without a GPU; here: {spent[largest]:.2f} s for {largest} pixels")
stages = [*many.card.get("before", []), many.card]
minutes = sum(stage["seconds"] for stage in stages) / 60
print(f"report 000: about 8 hours a style on a GPU; here: {minutes:.0f} minutes on a CPU for {many.styles} styles")

# %% [markdown]
# | what | what we found | where |
# |---|---|---|
# | F6, report 000: several trained styles, applied to a landscape, a portrait and a kitten | all in one network; the difference between two styles is less than one percent of it | 3, 4 |
# | F6, report 000: "in a few seconds even without GPU" | true, and modest: measured above. It does not say at which size or on which machine; time grows with the number of pixels | 7 |
# | F6, report 000: "can produce transfer results instantly once we have the trained model" | true, too, at the size of a telephone's screen | 2, 7 |
# | report 000: "similar results as method 1" | similar to look at; the loss is larger, and L-BFGS passes it after some steps | 6 |
# | report 000: method 1 "cannot store picture styles" | right that it must begin anew each time; but its style *can* be kept: the Gram matrices are 20 thousand numbers here, 306 thousand with VGG-19 | 4 |
# | report 000: downsampling leads to a "smaller receptive field" | the other way round: each stride doubles what the layers behind it see. Without the two strides, the same layers would see less than half | 8 |
# | X2, not in the reports: two styles mixed | any number of them, with one weight each, in a pass that nobody trained | 5 |
# | X9, not in the reports: ONNX with free sizes | equal up to rounding, without PyTorch | 10 |
#
# Our networks are small (width 16 in place of 32, a few hundred photos in place of 83 thousand, minutes in place of
# hours, a compact extractor in place of VGG-16), and one sees it: the fine strokes of several styles look alike, and on
# small pictures a grid of four pixels shines through. With a GPU, lesson 10 trains the full size.
#
# And the strides? Count the pixels that the same layers would see if nothing were halved:

# %%
strided = field
plain = (
    1 + 8 + 2 + 2 + 2 * 2 * config["blocks"] + 2 + 2 + 8
)  # every layer adds its kernel less one, if nothing is halved
print(f"with two strides {strided} pixels, without {plain}")

# %% tags=["test"]
assert plain < 0.5 * strided

# %% [markdown]
# ## Further reading
#
# - J. Johnson, A. Alahi, L. Fei-Fei: [Perceptual Losses for Real-Time Style Transfer and Super-Resolution](https://arxiv.org/abs/1603.08155),
#   ECCV 2016. One network for one style; section 3.1 on the receptive field of strides.
# - D. Ulyanov, A. Vedaldi, V. Lempitsky: [Instance Normalization: The Missing Ingredient for Fast Stylization](https://arxiv.org/abs/1607.08022),
#   2016. Why contrast should be thrown away.
# - V. Dumoulin, J. Shlens, M. Kudlur: [A Learned Representation for Artistic Style](https://arxiv.org/abs/1610.07629), ICLR 2017.
#   A row for each style; 32 painters in one network, and their mixtures.
# - X. Huang, S. Belongie: [Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization](https://arxiv.org/abs/1703.06868),
#   ICCV 2017. The rows are not even learnt: they are the mean and variance of the style's own maps.
#
# **Next:** lesson 12, back-propagation against the network. You have seen how fast one pass is. What does the training
# cost, and after how many pictures has it paid?
