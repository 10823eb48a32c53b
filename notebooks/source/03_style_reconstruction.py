# %% [markdown] tags=["title"]
# # 03 · Style reconstruction
#
# *Question*: What is left of a painting when you forget where everything was?
#
# *Time*: 50 minutes to read and try; about a minute and a half of computing on a laptop without a GPU.
#
# Lesson 02 kept everything that a layer says and asked how much of the photo is in it. Now we throw away the most
# important thing, the *place*, and keep one small matrix a layer. You would expect soup. What comes back has the
# painter's colours, strokes and even his lamps, all in the wrong places. This lesson takes the matrix apart until
# nothing about it is a mystery.

# %%
import time

import torch
import torch.nn.functional as F

from nstlib import (
    Objective,
    VGGFeatures,
    get_preset,
    gram_matrix,
    resize,
    style_loss,
    synthesize,
    texture,
    total_variation,
)
from nstlib.course import anatomy, check, figures, profile_for, show
from nstlib.course.widgets import slider_over
from nstlib.data import gallery
from nstlib.objective import Terms
from nstlib.runtime import pick_device

profile = profile_for("03_style_reconstruction")
profile

# %% [markdown]
# ## 1 · What comes together?
#
# A **feature map** answers one question at every position of a picture: *is what I look for here?* Take a toy with
# three maps of 6 x 6 positions: `warm` colours on the left, `dark` ones on the right, and an upright `line` in three
# columns.

# %%
toy = torch.zeros(1, 3, 6, 6)
toy[0, 0, :, :4] = 1  # warm
toy[0, 1, :, 4:] = 1  # dark
toy[0, 2, :, [1, 3, 4]] = 1  # line
looks_for = ["warm", "dark", "line"]

# %% [markdown]
# For each pair of maps we now ask: *how often do the two come together?* Multiply them position by position, and take
# the mean. For the maps $F_i$ and $F_j$, each with $M$ positions $k$:
#
# $$G_{ij} \;=\; \frac{1}{M}\sum_{k=1}^{M} F_{ik}\,F_{jk}$$
#
# That is the **Gram matrix**: all inner products of a few vectors with each other. The vectors are the maps, each
# written as one long row.


# %%
def table(ax, values, rows, columns, title="", form="{:.2f}", shade=None):
    """Numbers on coloured squares."""
    shade = values if shade is None else shade
    ax.imshow(shade, cmap="Blues", vmin=float(shade.min()), vmax=float(shade.min() + 1.7 * (shade.max() - shade.min())))
    for (i, j), v in [((i, j), float(values[i, j])) for i in range(len(rows)) for j in range(len(columns))]:
        ax.text(j, i, form.format(v), ha="center", va="center", fontsize=9, color=figures.INK)
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.tick_params(length=0)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    ax.set_title(title, loc="left")


toy_gram = torch.tensor([[(toy[0, i] * toy[0, j]).mean() for j in range(3)] for i in range(3)])
figure, axes = anatomy.panels(4, 9, 2.5, width_ratios=(1, 1, 1, 1.25))
for i, ax in enumerate(axes[:3]):
    ax.imshow(toy[0, i], interpolation="nearest", cmap="magma", vmin=-0.15, vmax=1.15)
    ax.set_title(looks_for[i])
    ax.axis("off")
table(axes[3], toy_gram, looks_for, looks_for, "G")
figure

# %% [markdown]
# Read it like a timetable. On the diagonal: how much of each there is (`warm` in two thirds of all positions). Beside
# it: what comes together. Warm and dark never (0.00), lines more often with warm (0.33: two columns of six) than with
# dark (0.17). It is **symmetric**, for "warm with line" is "line with warm". And no entry says *where*.
#
# ## 2 · Write it
#
# **Exercise.** Two loops would be slow for 512 maps. Write it with one matrix product, for a batch: `features` has the
# shape (N, C, H, W); give back (N, C, C), divided by the positions H x W.
#
# *Stuck?* `check.hint("gram_matrix")`, three times.


# %% tags=["exercise"]
def my_gram_matrix(features):
    # SOLUTION
    rows = features.flatten(2)
    return rows @ rows.transpose(1, 2) / rows.shape[2]
    # END SOLUTION


# %%
check.gram_matrix(my_gram_matrix)

# %% tags=["test"]
assert torch.allclose(gram_matrix(toy)[0], toy_gram)
assert torch.equal(gram_matrix(toy), gram_matrix(toy).transpose(1, 2))
assert toy_gram[0, 1] == 0
assert abs(toy_gram[0, 2] - 1 / 3) < 1e-6

# %% [markdown]
# ## 3 · Blind to where things are
#
# Now a real picture: a night over the water, painted by a program of ours. We take its maps at `relu3_1` and
# **shuffle the positions**: every number goes to another place.
#
# **Guess first.** There are two ways to shuffle. Which one leaves the Gram matrix as it was?
#
# - `"a"` all maps in the *same* new order
# - `"b"` each map in an order *of its own*
# - `"c"` both, for the sum does not care about the order

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_shuffle = ...  # "a", "b" or "c"
guess_shuffle = "a"
# END SOLUTION

# %%
features = VGGFeatures(pooling="avg", precision="float32", device=pick_device())
painting = gallery.style("nocturne", profile.size)


def see(picture, layers):
    """What the layers say about a picture: {layer: maps (1, C, H, W)}."""
    with torch.no_grad():
        return {name: maps.cpu() for name, maps in features(picture.to(features.device), layers).items()}


maps = see(painting, ["relu3_1"])["relu3_1"].double()
generator = torch.Generator().manual_seed(0)
order = torch.randperm(maps[0, 0].numel(), generator=generator)
together = maps.flatten(2)[:, :, order].view_as(maps)
apart = torch.stack([m.flatten()[torch.randperm(m.numel(), generator=generator)].view_as(m) for m in maps[0]])[None]

several = anatomy.top_channels(maps, 3)
tiles = {}
for way, shown in {"as they are": maps, "together": together, "apart": apart}.items():
    for number in several:
        top = maps[0, number].quantile(0.995).item()
        tiles[f"map {number}, {way}"] = anatomy.heatmap(shown[0, number], 190, vmax=top)
show(tiles, columns=3, width=5)


# %%
def gram64(x):
    """The Gram matrix of one picture's maps in float64: (C, C)."""
    rows = x.double().flatten(2)[0]
    return rows @ rows.T / rows.shape[1]


gram = gram64(maps)
moved = {way: ((gram64(x) - gram).norm() / gram.norm()).item() for way, x in (("together", together), ("apart", apart))}
for way, change in moved.items():
    print(f"shuffled {way:9s} the Gram matrix changes by {change:.1e} of its size")

# %%
check.choice(
    "the shuffle that the Gram matrix does not see",
    guess_shuffle,
    correct="a",
    explain={
        "a": "The terms of the sum change their order, and that is all. What changes (16 digits down) is rounding.",
        "b": "the two that met at a position meet no more; see the printed numbers.",
        "c": "the order of the terms, no; but each term is a product of two maps at the *same* position.",
    },
)

# %% tags=["test"]
assert moved["together"] < 1e-13
assert moved["apart"] > 0.05
assert not torch.equal(together, maps)
assert torch.allclose(gram64(apart).diagonal(), gram.diagonal())  # how much there is of each stays

# %% [markdown]
# So it is a list of *encounters*: which features meet, not where. (Even more is lost. The maps may be mixed by any
# rotation of the positions, not only swapped, and $G$ stays. All pictures with the same $G$ are the same to it.)
#
# **But shuffling maps is not shuffling pixels.** A number of `relu3_1` has looked at 24 pixels. We cut the painting
# itself into square tiles, shuffle the *tiles*, and ask each layer how much its Gram matrix has changed. Guess: how
# large must the tiles be until a layer no longer minds?


# %%
def shuffle_tiles(picture, side, seed=0):
    """The picture, cut into squares of ``side`` pixels that change places."""
    n, c, h, w = picture.shape
    pieces = F.unfold(picture, side, stride=side)
    pieces = pieces[:, :, torch.randperm(pieces.shape[2], generator=torch.Generator().manual_seed(seed))]
    return F.fold(pieces, (h, w), side, stride=side)


largest = 64 if profile.size >= 192 else 16
h, w = (s // largest * largest for s in painting.shape[2:])
cut = painting[:, :, :h, :w]
sides = [2**k for k in range(8) if 2**k <= largest]
tiled = {side: shuffle_tiles(cut, side) for side in sides}
shown = sides[:: max(1, len(sides) // 3)][:4]
show([cut] + [tiled[s] for s in shown], ["the painting"] + [f"tiles of {s} px" for s in shown])

# %%
layers = [f"relu{block}_1" for block in range(1, 6)]


def distances(picture, target, layers):
    """How far the Gram matrices of two pictures are from each other, layer by layer, in % of the target's size."""
    ours, theirs = see(picture, layers), see(target, layers)
    far = {n: style_loss(gram_matrix(ours[n]), gram_matrix(theirs[n]), "relative") for n in layers}
    return {n: 100 * value.sqrt().item() for n, value in far.items()}


at_sides = {side: distances(tiled[side], cut, layers) for side in sides}
minds = {"the pixels' own": {side: 100 * ((gram64(tiled[side]) - gram64(cut)).norm()).item() for side in sides}}
minds |= {name: {side: at_sides[side][name] for side in sides} for name in layers}
anatomy.lines(minds, "change of the Gram matrix when tiles of so many pixels are shuffled", "% of its size")

# %% tags=["test"]
assert max(minds["the pixels' own"].values()) < 1e-10
assert minds["relu1_1"][largest] < 0.5 * minds["relu1_1"][1]
assert minds["relu1_1"][largest] < minds["relu5_1"][largest]
assert all(minds[name][largest] < minds[name][2] for name in layers)

# %% [markdown]
# This figure is the lesson in small. The pixels' own Gram matrix (3 x 3: which colours come together) never minds.
# `relu1_1` minds only where a cut runs through its 3 x 3 pixels, and there are few cuts when tiles are large. The
# deeper the layer, the larger the pieces that must stay whole. **A Gram matrix forgets where, but only beyond the
# receptive field.** Below it, it remembers very well: strokes, corners, lamps. (And the rim: next to the zeros of the
# padding a feature knows where it is.)
#
# ## 4 · A painting from its Gram matrices
#
# Now the other way round. We keep nothing of the painting but Gram matrices, begin with **white noise**, and move the
# pixels until the noise has the same ones. Report 003, after Gatys, takes five growing sets: (a) `conv1_1`; (b) that
# and `conv2_1`; and so on to (e), all five. (As in most implementations, we take what is behind the ReLU.)
#
# **Guess first**: what is the first set that has *lamps* in it, as upright streaks of yellow?

# %%
noise = torch.rand(painting.shape, generator=torch.Generator().manual_seed(0))


def from_noise(style_layers, **options):
    """The painting from the Gram matrices of some layers; the content weight is zero."""
    weights = {name: 1 / len(style_layers) for name in style_layers}
    options = {"features": features, "steps": profile.steps, "tv_weight": 0.0, **options}
    return texture(painting, style_layers=weights, **options)


grown = {f"({letter}) to conv{k}_1": from_noise(layers[:k], tv_weight=100) for k, letter in enumerate("abcde", 1)}
show({"the painting": painting} | {name: r.image for name, r in grown.items()}, columns=3, width=7.4)

# %% [markdown]
# From (a) to (e) the *same* painting comes back at a larger and larger scale. (a) has its colours, in grains of a few
# pixels. (b) has dashes, most of them level. (c) has the lamps on the water, upright, and strokes that run side by
# side. (d) and (e) have round lights, too, and the beginnings of whirls. But none has a sky above and water below: that
# is *where*, and it is gone.
#
# With a slider (the figure above is for those who read without a kernel):

# %%
set_slider = slider_over([painting] + [r.image for r in grown.values()], ["the painting", *grown], "set")
set_slider

# %% [markdown]
# **Where is the arrangement?** Measure it: how alike in brightness are two points at a distance of so many pixels? 1 is
# the same, 0 is nothing to do with each other. **Guess first**: which curves stay above zero for long?


# %%
def alike_at(picture, reach):
    """The correlation of brightness between points so many pixels apart, across and down."""
    grey = picture[0].mean(0)
    grey = grey - grey.mean()
    pairs = {d: [(grey[:, d:], grey[:, : grey.shape[1] - d]), (grey[d:], grey[: grey.shape[0] - d])] for d in reach}
    return {d: sum((a * b).mean() for a, b in two).item() / 2 / grey.var().item() for d, two in pairs.items()}


reach = range(0, profile.size // 8 + 1, max(1, profile.size // 128))
series = {"painting": alike_at(painting, reach)}
series |= {name.split()[0]: alike_at(r.image, reach) for name, r in grown.items()}
anatomy.lines(series, "how alike two points are, by their distance in pixels", "correlation")

# %% [markdown]
# Only the painting's. It has a dark half and a bright half, so that even points far apart have something in common. In
# (a) the brightness lets go after a few pixels, in (b) to (e) later; but then all fall to zero: *that* is the lost
# arrangement. And a surprise: from (b) on, more layers do **not** make this curve longer. What the deep layers add is
# not how far a brightness reaches, but which *shapes* there are. That needs other eyes, and we have them:
#
# How far is the Gram matrix of each picture from the painting's, layer by layer, in % of its size? Each row was made
# from the layers up to its own; the others were left free.


# %%
def distance_table(pictures, layers, title):
    found = torch.tensor([[distances(p, painting, layers)[n] for n in layers] for p in pictures.values()])
    figure, (ax,) = anatomy.panels(1, 7.2, 0.38 * len(pictures) + 0.9)
    table(ax, found, list(pictures), layers, title, "{:.3g} %", found.clamp_min(0.1).log())
    ax.set_aspect("auto")
    return figure, found


figure, grown_far = distance_table(
    {"the start: noise": noise} | {name: r.image for name, r in grown.items()}, layers, "distance from the painting"
)
figure

# %% tags=["test"]
for k in range(1, 6):
    assert grown_far[k, :k].max() < 0.6 * grown_far[0, :k].max(), grown_far  # what was asked for has come nearer
assert grown_far[1, 2] > grown_far[3, 2]  # (a) knows nothing of conv3_1, (c) does
assert grown_far[1, 4] > grown_far[5, 4]
last = max(reach)
assert all(series[f"({letter})"][last] < 0.5 * series["painting"][last] for letter in "abcde"), series
start = time.perf_counter()
for i in range(6):
    set_slider.select(i)
assert (time.perf_counter() - start) / 6 < 0.1

# %% [markdown]
# A staircase. What was asked for has arrived; and one step to the right, just out of reach, the distance falls by
# itself when the layers before it are right: (b) never heard of `relu3_1` and is nearer to it than (a). Going down,
# each row is nearer at the deep end. In exchange, the more there is to match, the less exactly each is matched in the
# same number of steps. So report 003's sentence holds, "match the style of a given image on an increasing scale while
# discarding information of the global arrangement of the scene"; and now with numbers.
#
# (`tv_weight=100` is a breath of smoothing, a tenth of what this course paints with. Try 0: the same staircase, with a
# fine grain over all pictures. The network hardly sees it, and so nothing but smoothing takes it away.)
#
# ## 5 · One layer at a time
#
# Report 004 does it differently: a *single* pooling layer a picture, from white noise, content weight zero (and here no
# smoothing either). It calls them conv1 to conv5; they are `pool1` to `pool5`. It found: 1 and 2 have the fine
# patterns, 3 and 4 larger ones, and 5 "is blurry and has less feature of the original style image".

# %%
pools = [f"pool{k}" for k in range(1, 6)]
single = {name: from_noise([name]) for name in pools}
show({"the painting": painting} | {name: r.image for name, r in single.items()}, columns=3, width=7.4)

# %%
pool_slider = slider_over([painting] + [r.image for r in single.values()], ["the painting", *single], "layer")
pool_slider

# %%
figure, single_far = distance_table(
    {"the start: noise": noise} | {f"from {name}": r.image for name, r in single.items()},
    pools,
    "distance from the painting, at each pooling layer",
)
figure

# %% [markdown]
# The trend is the report's: fine grains from `pool1` and `pool2`, lamps from `pool3`, whole whirls from `pool4`. At 5,
# and with our small network already at 4, the colours are lost and the picture falls apart. Is it *blurred*, though?
# Blurred means that neighbours differ little:

# %%
rough = {"the painting": painting, "the start: noise": noise} | {f"from {n}": r.image for n, r in single.items()}
rough = {name: (p[..., 1:] - p[..., :-1]).abs().mean().item() for name, p in rough.items()}
figures.bars(rough, title="how much neighbouring pixels differ (0 is one flat colour)")

# %% [markdown]
# ### What went wrong, and why
#
# Ours is the opposite of blurred: it is as rough as the noise it began with. And the table says that the optimiser did
# its work: at `pool5` the picture fits. The rows show what is wrong: it fits *there only*. A deep Gram matrix asks
# little of the single pixel; whatever it does not ask for **stays as the start had it**. The test is to start somewhere
# else:

# %%
cat = resize(gallery.content("chelsea"), tuple(painting.shape[2:]))
from_cat = from_noise(["pool5"], init=cat)
show({"start: noise": single["pool5"].image, "the other start": cat, "start: the cat": from_cat.image}, width=8.4)

# %%
rows = []
for name, before, after in (("noise", noise, single["pool5"].image), ("the cat", cat, from_cat.image)):
    far = [distances(p, painting, ["pool5"])["pool5"] for p in (before, after)]
    rows.append([name, f"{far[0]:.0f} %", f"{far[1]:.1f} %"])
anatomy.Table(["start", "distance at pool5: before", "after"], rows)

# %% [markdown]
# For `pool5`, the cat *is* the painting now, about as well as the noise is. So what you see of a deep layer is largely
# what your start left there, and "blurry" is no property of `pool5` alone: with a smooth start, few steps, or a
# smoothing term you can have that, too. (We have the report's text only, not its figure; and its network was the real
# VGG, ours is the compact one, whose blocks 4 and 5 are its own. `NST_PROFILE=gpu` runs this very cell with the real
# weights.) On what matters we agree: **the deepest layer alone makes a poor style; it takes the shallow ones to pin
# down the pixels.**
#
# Report 004 says that the third "will preserve more features of the original style image" and takes it from there on.
# Let all five layers of Gatys judge the five pictures:

# %%
overall = {name: sum(distances(r.image, painting, layers).values()) / 5 for name, r in single.items()}
figures.bars(overall, "%", title="distance from the painting, mean over relu1_1 to relu5_1")

# %% tags=["test"]
for k in range(5):
    assert single_far[k + 1, k] < 0.7 * single_far[0, k], single_far
assert single_far[5, 0] > single_far[1, 0]  # pool5 knows nothing of the fine things
assert rough["from pool5"] > rough["the painting"]  # not blurred
cat_far = distances(from_cat.image, painting, ["pool5"])["pool5"]
assert cat_far < 0.7 * distances(cat, painting, ["pool5"])["pool5"]
assert min(overall, key=overall.get) != "pool5"

# %% [markdown]
# `pool2` and `pool3` share the first place, so close that the order may change from machine to machine; 1, 4 and 5 are
# far behind. The report's choice is a good one. (It judges by another measure, which lesson 07 takes up.)
#
# ## 6 · Positive, but how positive?
#
# Report 003 says that a Gram matrix "must be positive definite to exist". A symmetric matrix is **positive definite**
# if $v^\top G\,v > 0$ for every vector $v$ but zero. Take any $v$, one number for each map:
#
# $$v^\top G\,v \;=\; \tfrac1M\, v^\top F F^\top v \;=\; \tfrac1M\,\lVert F^\top v\rVert^2 \;\ge\; 0$$
#
# A squared length is never negative; but it can be **zero**: when the mixture $F^\top v$ of maps is zero at every
# position. Then $v$ belongs to the eigenvalue 0. So a Gram matrix is positive **semi**definite, always; definite only
# if no map can be mixed from the others. Two maps more for the toy, and it is over:

# %%
everywhere = toy[:, :1] + toy[:, 1:2]  # warm + dark: a mixture
nothing = torch.zeros(1, 1, 6, 6)  # a dead channel: nothing of this kind is in the picture
five = torch.cat([toy, everywhere, nothing], 1)
for name, maps_of_toy in (("three maps", toy), ("five maps ", five)):
    print(name, [f"{abs(v):.3f}" for v in torch.linalg.eigvalsh(gram64(maps_of_toy))])

# %% [markdown]
# When **must** there be zeros? (1) A dead channel gives one. (2) A channel that others make up gives one. (3) And there
# is counting: $F$ has $C$ rows with $M = H \cdot W$ numbers each. In a space of $M$ dimensions no more than $M$ rows
# are independent. **With more channels than positions, at least $C - HW$ eigenvalues are zero**, whatever the picture.
#
# **Exercise.** The real VGG-19 has 512 channels at `pool5`, and five poolings halve the picture five times. How many
# zeros are certain for a picture of 512 x 384 pixels?

# %% tags=["exercise"]
# SOLUTION
# STUDENT: certain = ...  # a number, or how you compute it
certain = 512 - (512 // 32) * (384 // 32)
# END SOLUTION

# %%
check.number(
    "zeros that are certain",
    certain,
    320,
    tolerance=0,
    hint=["Halved five times: divide each side by 32.", "Channels minus positions."],
    why="Five of eight directions are zero, before the network has seen a picture.",
)

# %% [markdown]
# **Exercise.** Now count. `deep` is the Gram matrix of our painting at `pool5`, in float64. How many of its eigenvalues
# are zero? `torch.linalg.eigvalsh` gives them all. A computer's zero is not exactly 0: take what is smaller than 1e-12
# of the largest.

# %%
wanted = [*layers, "pool5"]
seen = see(painting, wanted)
deep = gram64(seen["pool5"])

# %% tags=["exercise"]
# SOLUTION
# STUDENT: counted = ...  # your code here
eigenvalues = torch.linalg.eigvalsh(deep)
counted = (eigenvalues < 1e-12 * eigenvalues.max()).sum()
# END SOLUTION

# %%
check.number(
    "zeros that are there",
    counted,
    len(deep) - torch.linalg.matrix_rank(seen["pool5"].double().flatten(2)[0]).item(),
    tolerance=0,
    hint=["eigvalsh sorts from small to large: the last is the largest.", "Compare, then sum: True counts as 1."],
    why="Exactly as many as the rank of F says: channels minus independent rows.",
)

# %% [markdown]
# And in the other layers? There are more positions than channels, so nothing is forced. Look at how fast they fall:

# %%
spectra = {name: torch.linalg.eigvalsh(gram64(x)).flip(0) for name, x in seen.items()}
figure, (ax,) = anatomy.panels(1, 8.5, 3.4)
for colour, (name, values) in zip(figures.COLOURS, spectra.items()):
    ax.plot((values / values[0]).abs().clamp_min(1e-20), label=name, color=colour, lw=1.8)
ax.axhspan(1e-20, 1e-12, color="#f3e3dc", zorder=0)
ax.annotate("zero, but for rounding in float64", (1, 2e-19), color="#a0492c")
ax.axhline(1.2e-7, color="#9aa0a6", lw=1, ls="--")
ax.annotate("rounding in float32", (1, 2.2e-7), color="#5f6368", fontsize=9)
ax.set(yscale="log", ylim=(1e-20, 3), xlabel="eigenvalue, from large to small", ylabel="of the largest")
ax.set_title("eigenvalues of the Gram matrices", loc="left")
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
figure

# %%
rows = []
for name, values in spectra.items():
    x = seen[name]
    channels, positions = x.shape[1], x[0, 0].numel()
    dead = int((x[0].flatten(1).amax(1) == 0).sum())
    zero = int((values < 1e-12 * values[0]).sum())
    exists = [
        "yes" if torch.linalg.cholesky_ex(gram64(x).to(t)).info == 0 else "no" for t in (torch.float64, torch.float32)
    ]
    rows.append([name, channels, positions, max(0, channels - positions), dead, zero, *exists])
heads = ["layer", "channels", "positions", "zeros forced", "dead channels", "zeros found"]
anatomy.Table([*heads, "Cholesky, float64", "in float32"], rows)

# %% [markdown]
# `pool5` falls off a cliff after as many eigenvalues as it has positions. `relu4_1` and `relu5_1` fall, too, a little
# later, though nothing forces them: they have **dead channels** (see the table), which found nothing at all in this
# painting. And `relu5_1` shows the third kind before its cliff: a few that are not zero, but **only just not**, a
# millionth of the largest and less. Such a direction hardly counts, neither in the loss nor in arithmetic.
#
# A zero is no loss of information, by the way. It says: *this mixture of features never occurs in this painting*; and
# the style loss punishes a picture in which it does.
#
# The last two columns try the classical test: a matrix is positive definite exactly if it has a *Cholesky
# decomposition*. This bites in practice: whoever whitens features (as some fast style methods do) inverts such a
# matrix, and a tiny eigenvalue that rounding made negative gives a square root of a negative number. The cure is to add
# a small number to the diagonal.
#
# **And Mercer?** His theorem is about *kernels*: a function $k(x, y)$ is an inner product in some space if (roughly)
# every matrix $K_{ij} = k(x_i, x_j)$ of any points is positive **semi**definite. It cannot ask for more: take the same
# point twice.

# %%
x = torch.tensor([[1.0, 2.0], [1.0, 2.0]])
print("two equal points:", (x @ x.T).tolist(), "determinant:", torch.linalg.det(x @ x.T).item())

# %% [markdown]
# A determinant of zero, and the inner product is still the best kernel there is. What report 003 says of the
# determinant is right: it is not zero exactly if the vectors are independent. What it does not say is that in a network
# they often are not.
#
# There is one more twist. From the same $F$ one can make *two* Gram matrices: channels with channels ($F F^\top$, $C
# \times C$, ours) and positions with positions ($F^\top F$, $M \times M$). They have the same eigenvalues but for
# zeros, so unless $C = M$, **one of the two is always singular**.

# %%
rows_of_pool5 = seen["pool5"].double().flatten(2)[0]
by_channel = torch.linalg.eigvalsh(rows_of_pool5 @ rows_of_pool5.T).flip(0)
by_position = torch.linalg.eigvalsh(rows_of_pool5.T @ rows_of_pool5).flip(0)
print(f"{len(by_channel)} channels: ", [f"{v:.4g}" for v in by_channel[:4]])
print(f"{len(by_position)} positions:", [f"{v:.4g}" for v in by_position[:4]])

# %% tags=["test"]
common = min(len(by_channel), len(by_position))
assert torch.allclose(by_channel[:common], by_position[:common], rtol=1e-8, atol=1e-9 * by_channel[0])
for row in rows:
    assert row[5] >= max(row[3], row[4]), row
assert rows[-1][5] > 0
assert rows[-1][7] == "no"
for values in spectra.values():
    assert values.min() > -1e-12 * values.max()  # semidefinite, up to rounding
assert (torch.linalg.eigvalsh(gram64(five)).abs() < 1e-12).sum() == 2
assert torch.linalg.eigvalsh(gram64(toy)).min() > 0.01

# %% [markdown]
# ## 7 · Two clouds of points
#
# Why should matching *this* matrix match a style? Li, Wang, Liu and Hou (2017) gave an answer. Forget the picture: at
# each position there are $C$ numbers, so a position is a **point** in a space of $C$ dimensions, and a picture is a
# cloud of $M$ points. Here are two of the coordinates at `relu1_1`:

# %%
two = anatomy.top_channels(seen["relu1_1"], 2)
clouds = {"the painting": painting, "noise": noise, "(a), from the Gram matrix": grown["(a) to conv1_1"].image}
figure, axes = anatomy.panels(3, 9.5, 3.1, sharex=True, sharey=True)
for ax, colour, (name, picture) in zip(axes, figures.COLOURS, clouds.items()):
    points = see(picture, ["relu1_1"])["relu1_1"][0, two].flatten(1)
    points = points[:, torch.randperm(points.shape[1], generator=torch.Generator().manual_seed(1))[:2500]]
    ax.plot(*points, ".", ms=2, alpha=0.35, color=colour, rasterized=True)
    ax.set_title(name)
    ax.set_xlabel(f"map {two[0]}")
axes[0].set_ylabel(f"map {two[1]}")
figure

# %% [markdown]
# Noise lies elsewhere; (a) has moved its cloud over to the painting's. Not all of it fits (look at the upper end): keep
# that in mind.
#
# Shuffled positions are the same cloud. So style, seen this way, is a *distribution*, and the question is how to
# compare two of them. One way is the **maximum mean discrepancy**. It needs a kernel $k(x, y)$ that says how alike two
# points are, and then asks: are points alike *within* a cloud more than *between* the clouds?
#
# $$\mathrm{MMD}^2 \;=\; \operatorname{mean}_{x,x'} k(x, x') \;+\; \operatorname{mean}_{y,y'} k(y, y')
# \;-\; 2\operatorname{mean}_{x,y} k(x, y)$$


# %%
def mmd(x, y, kernel):
    """Squared maximum mean discrepancy of the clouds x (M, C) and y (M', C)."""
    return kernel(x, x).mean() + kernel(y, y).mean() - 2 * kernel(x, y).mean()


def linear(x, y):
    return x @ y.T  # (M, M'): each point of x with each of y


def cloud(picture, layer):
    return see(picture, [layer])[layer].double().flatten(2)[0].T  # (M, C)


x, y = cloud(painting, "relu4_1"), cloud(grown["(a) to conv1_1"].image, "relu4_1")
means = (x.mean(0) - y.mean(0)).square().sum()
print(f"MMD, linear kernel:           {mmd(x, y, linear).item():.15g}")
print(f"squared distance of the means: {means.item():.15g}")

# %% [markdown]
# With the simplest kernel the MMD compares the **means** of the clouds, and nothing else: the mean of all inner
# products is the inner product of the means.
#
# **Exercise.** Which kernel gives the *Gram loss* $\sum_{ij} (G_{ij} - A_{ij})^2$? Write it like `linear` above; it
# gives back an (M, M') matrix. Change little.


# %% tags=["exercise"]
def my_kernel(x, y):
    # SOLUTION
    return (x @ y.T) ** 2
    # END SOLUTION


# %%
a, b = torch.rand(30, 4, dtype=torch.double), torch.rand(20, 4, dtype=torch.double)  # clouds may differ in size
loss = (a.T @ a / len(a) - b.T @ b / len(b)).square().sum()
check.number(
    "the kernel of the Gram loss",
    ... if my_kernel(a, b) is None else mmd(a, b, my_kernel),
    loss.item(),
    tolerance=1e-12,
    hint=[
        "Write out the square of the Gram loss: there is a product G_ij G_ij, and each G is a sum over points.",
        "The sum over i and j of x_i y_i x_j y_j is a product of two equal sums.",
        "An inner product, and one more character or two.",
    ],
    why="The second-order polynomial kernel. The Gram loss compares clouds by it.",
)

# %% [markdown]
# Now for the painting and picture (a), at `relu4_1`, in float64 and to the last digit. Left: $C^2$ numbers a picture.
# Right: $M^2$ pairs of positions, and no Gram matrix anywhere.


# %%
def polynomial(x, y):
    return linear(x, y).square()


gram_loss = (x.T @ x / len(x) - y.T @ y / len(y)).square().sum().item()
kernel_loss = mmd(x, y, polynomial).item()
print(f"Gram loss, {x.shape[1]} x {x.shape[1]} numbers:      {gram_loss:.17g}")
print(f"MMD, {len(x)} x {len(y)} pairs of points: {kernel_loss:.17g}")
print(f"they differ by {abs(gram_loss - kernel_loss) / gram_loss:.0e} of their size")

# %% [markdown]
# In Gatys' units, $\frac{1}{4N^2}$ of it (with $N = C$ channels): his $E_l$, in the form that report 003 prints.
#
# **Does an equal Gram matrix mean an equal distribution?** No. This kernel sees second moments only. Three little
# clouds on a line, and three kernels:


# %%
def gaussian(x, y):
    return torch.exp(-torch.cdist(x, y).square() / 2)


ones = torch.tensor([[1.0], [1.0]], dtype=torch.double)
spread = torch.tensor([[0.0], [2.0]], dtype=torch.double)  # the mean of `ones`
sparse = torch.tensor([[0.0], [2.0**0.5]], dtype=torch.double)  # the mean square of `ones`
kernels = {"linear": linear, "polynomial": polynomial, "Gaussian": gaussian}
pairs = {"{1, 1} and {0, 2}": (ones, spread), "{1, 1} and {0, √2}": (ones, sparse)}
blind = [[name, *(f"{abs(mmd(*pair, k).item()):.3f}" for k in kernels.values())] for name, pair in pairs.items()]
anatomy.Table(["MMD² between", *kernels], blind)

# %% [markdown]
# Each of the first two is fooled by one pair; the Gaussian kernel by none (it is *characteristic*: it sees every
# difference). Note the second row: **the Gram matrix does not even know the mean.** It has mean and spread in one
# number, for it is not centred: $G = \text{covariance} + \text{mean}\,\text{mean}^\top$. Report 003 (and half of the
# web) call it the *correlation* between feature maps. How much of it is only the means?

# %%
shares = {}
for name, maps_of_layer in seen.items():
    points = maps_of_layer.double().flatten(2)[0].T
    mean = points.mean(0)
    shares[name] = 100 * (mean.outer(mean).norm() / (points.T @ points / len(points)).norm()).item()
figures.bars(shares, "%", title="size of mean x mean against the size of the Gram matrix")

# %% tags=["test"]
assert abs(gram_loss - kernel_loss) < 1e-9 * gram_loss
assert abs(mmd(x, y, linear) - means) < 1e-9 * means
assert blind[0][1] == "0.000"
assert blind[1][2] == "0.000"
assert min(float(row[3]) for row in blind) > 0.01
for maps_of_layer in seen.values():
    points = maps_of_layer.double().flatten(2)[0].T
    parts = torch.cov(points.T, correction=0) + points.mean(0).outer(points.mean(0))
    assert torch.allclose(parts, gram64(maps_of_layer), rtol=1e-9, atol=1e-12)

# %% [markdown]
# Most of it. It is no correlation, then: nothing was centred and nothing was divided by the deviations.
#
# ## 8 · Do we need all pairs?
#
# If the means are so large a part, perhaps they are enough? Li and others tried other ways to compare the clouds. We
# compare three, on the same five layers, from the same noise:
#
# - the **means** alone (the linear kernel): $C$ numbers a layer;
# - **means and standard deviations**, which is what a batch normalisation keeps: $2C$ numbers;
# - the **Gram matrix** (the polynomial kernel): $C(C+1)/2$ different numbers. That is (e) from above.
#
# `Objective` is the loss that we used all the time; we only change what it compares. **Guess first**: will the means
# alone look like the painting at all?


# %%
def only_means(f):
    return f.mean((2, 3))


def means_and_deviations(f):
    return torch.cat([f.mean((2, 3)), (f.var((2, 3), unbiased=False) + 1e-6).sqrt()], 1)


class Matching(Objective):
    """A style loss with any description of the maps in place of the Gram matrix."""

    def __init__(self, describe, style):
        style = style.to(features.device)
        super().__init__(get_preset("course").replace(tv_weight=100), features, style=style)
        self.describe = describe
        with torch.no_grad():
            self.described = {n: describe(f) for n, f in features(style, self.style_layers).items()}

    def terms(self, images):
        found = self.features(images, self.style_layers)
        style = {n: style_loss(self.describe(f), self.described[n], "relative") for n, f in found.items()}
        return Terms({}, style, total_variation(images))


descriptions = {"means": only_means, "means and deviations": means_and_deviations, "Gram matrix": gram_matrix}
losses = {name: Matching(describe, painting) for name, describe in descriptions.items()}
canvas = noise.to(features.device)
matched = {name: synthesize(losses[name], canvas, steps=profile.steps).image for name in list(losses)[:2]}
matched["Gram matrix"] = grown["(e) to conv5_1"].image
show({"the painting": painting, **matched}, columns=2, width=6)


# %%
@torch.no_grad()
def measured(picture):
    """How far a picture is from the painting by each of the three, in %."""
    found = [
        loss.weighted_terms(loss.terms(picture.to(canvas.device)))[1] / loss.preset.style_weight for loss in losses.values()
    ]
    return [100 * value.sqrt().item() for value in found]


cross = torch.tensor([measured(p) for p in matched.values()])
figure, (ax,) = anatomy.panels(1, 7.6, 2.0)
measured_by = [f"by {name}" for name in losses]
table(
    ax,
    cross,
    [f"made from {n}" for n in matched],
    measured_by,
    "distance from the painting, five layers together",
    "{:.3g} %",
    cross.log(),
)
ax.set_aspect("auto")
figure

# %% tags=["test"]
for k in range(3):
    assert cross[k, k] < 0.5 * measured(noise)[k], cross
assert cross[0, 2] > cross[2, 2]  # means alone do not give the Gram matrix
assert max(measured(painting)) < 0.1
# %% [markdown]
# A little shock: **the means alone make lamps and strokes.** For a layer with its own idea of "lamp", it is much to
# know how much of it there is. What they cannot know is what comes *together*: look for colours that the painting does
# not have, green and pink. With the deviations the lamps become clear, and with all pairs the colours are those of the
# night. In the table each picture is best by its own measure; what was not asked for stays open.
#
# This is why batch normalisation and its relatives matter in lesson 10: whoever sets the mean and the deviation of each
# feature map has his hand on a good part of the style.
#
# ## 9 · An open question
#
# **Exercise without a check.** All of this has no *where* at all. But a painting often has some: a sky is above. Find a
# description that keeps a *little* of where, and repaint the night with the lamps below and the stars above. One way:
# the Gram matrix of the upper half beside that of the lower half. Write `describe` (10 lines), put it into
# `Matching(describe, painting)`, and look. How little of *where* is enough? What happens when you go on, down to one
# Gram matrix a position? (You have met that loss, in lesson 02.)

# %%
# synthesize(Matching(describe, painting), noise, steps=profile.steps).image

# %% [markdown]
# ## 10 · What the reports found
#
# **Report 003** explains the Gram matrix so: "if two features are very close then its value is large so its more loss".
# The value is large, but it is not a loss. The loss is the *difference* to the painting's matrix, and for the painting
# itself it is zero, however large the entries:

# %%
print(
    "largest entry:",
    f"{gram64(seen['relu1_1']).max():.1f}",
    "  loss:",
    style_loss(gram_matrix(seen["relu1_1"]), gram_matrix(seen["relu1_1"])).item(),
)

# %% [markdown]
# **Report 004** prints $G_{ij} = \sum_k (F_{ik} - F_{jk})$, a minus where the product belongs. One line shows what that
# would be: nothing but differences of means, with a diagonal of zeros. As a description it is weaker than the linear
# kernel. (Surely a slip of the pen: its pictures would not look as it says.)

# %%
f = toy[0].flatten(1)
with_minus = (f[:, None] - f[None]).mean(2)
figure, (left, right) = anatomy.panels(2, 6.5, 2.5)
table(left, with_minus, looks_for, looks_for, "with a minus, over M")
table(right, toy_gram, looks_for, looks_for, "the Gram matrix, over M")
figure

# %% tags=["test"]
assert torch.allclose(with_minus, f.mean(1)[:, None] - f.mean(1)[None])
assert torch.equal(with_minus, -with_minus.T)

# %% [markdown]
# | what a report says | what we found | where |
# |---|---|---|
# | 003: sets (a) to (e) match "on an increasing scale" and lose the arrangement | yes, and the staircase measures it | 4 |
# | 004: pool1 and pool2 fine, pool3 and pool4 larger | yes | 5 |
# | 004: pool5 "is blurry" | ours is as rough as its start: the layer leaves the pixels free | 5 |
# | 004: pool3 keeps most of the style | it shares the first place with pool2 | 5 |
# | 003: a Gram matrix "must be positive definite to exist" | semidefinite; with C > HW, a dead or a dependent channel it has zeros | 6 |
# | 003: Mercer's theorem | asks for semidefinite, for all sets of points | 6 |
# | 003: a determinant that is not zero means independent | right | 6 |
# | 003: "the correlation between feature maps" | neither centred nor normalised; most of it is the means | 7 |
# | 003: has *Demystifying Neural Style Transfer* among its references | its identity holds to the last digits | 7 |
# | 003: a large value, "so its more loss" | only a difference to the target is a loss | 10 |
# | 004: a minus in the Gram matrix | would be differences of means | 10 |
#
# What both reports saw is there: you can forget where everything was, and still have the painter.
#
# ## Further reading
#
# - L. Gatys, A. Ecker, M. Bethge: [Texture Synthesis Using Convolutional Neural Networks](https://arxiv.org/abs/1505.07376),
#   NeurIPS 2015. Where the Gram matrix came in; figure 2 has the growing sets.
# - L. Gatys, A. Ecker, M. Bethge: [A Neural Algorithm of Artistic Style](https://arxiv.org/abs/1508.06576), 2015. Figure 1 has
#   the sets (a) to (e) for The Starry Night.
# - Y. Li, N. Wang, J. Liu, X. Hou: [Demystifying Neural Style Transfer](https://arxiv.org/abs/1701.01036), IJCAI 2017. The
#   kernels, and matching the statistics of batch normalisation.
# - A. Gretton and others: [A Kernel Two-Sample Test](https://jmlr.org/papers/v13/gretton12a.html), JMLR 2012. The maximum mean
#   discrepancy, and which kernels see everything.
#
# **Next:** lesson 04, texture synthesis. The numbers can paint; now we let them paint canvases of any size.
