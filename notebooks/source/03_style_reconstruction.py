# %% [markdown] tags=["title"]
# # 03 · Style reconstruction
#
# *Question*: What is left of a painting when you forget where everything was?
#
# *Time*: 55 minutes to read and work; computing: 1.5 minutes on a slow processor (AVX2), 1.5 on one with bfloat16.
#
# Lesson 02 kept every activation of a layer and asked how much of the photo can be recovered. This lesson throws away
# the positions and keeps one small matrix for each layer, the Gram matrix. You will reconstruct a painting from these
# matrices, and find out what exactly they contain.
#
# You need the Gram matrix (lesson 01), the content loss (00), the total variation and the optimization loop (02). At
# the end you can
#
# - write the style loss over several layers, and say which structures each layer adds;
# - prove that a Gram matrix is positive semidefinite, and construct cases in which it is singular;
# - explain style as a distribution of activations, and write two losses that compare distributions.

# %%
import torch
import torch.nn.functional as F

from nstlib import VGGFeatures, get_preset, gram_matrix, resize, style_loss, synthesize, texture, total_variation
from nstlib.course import anatomy, check, diagrams, figures, profile_for, show
from nstlib.course.interactive import slide
from nstlib.course.tasks import lesson_03 as solved
from nstlib.data import gallery
from nstlib.objective import Objective, Terms
from nstlib.runtime import pick_device

profile = profile_for("03_style_reconstruction")
profile

# %% tags=["test"]
from nstlib.course.claims import lesson_03 as claims
from nstlib.runtime import profile as profile_in_force

scale = profile_in_force()  # "smoke", "cpu" or "gpu"

# %% [markdown]
# ## 1 · The Gram matrix, once more
#
# A feature map shows where in the picture a feature is present. Here is a toy example with three maps of 6 x 6
# positions: `warm` colors on the left, `dark` ones on the right, and a vertical `line` in three columns.

# %%
toy = torch.zeros(1, 3, 6, 6)  # (N, C, H, W)
toy[0, 0, :, :4] = 1  # warm
toy[0, 1, :, 4:] = 1  # dark
toy[0, 2, :, [1, 3, 4]] = 1  # line
names = ["warm", "dark", "line"]
figure, axes = anatomy.panels(3, height=2.4)
for ax, values, name in zip(axes, toy[0], names):
    solved.draw_maps(ax, values, name)
figure.set_label("Three maps: warm in columns 0 to 3, dark in 4 and 5, line in columns 1, 3 and 4")
figure

# %% [markdown]
# For the maps $F_i$ and $F_j$, each with $M$ positions $k$, the Gram matrix holds the mean of their products:
#
# $$G_{ij} \;=\; \frac{1}{M}\sum_{k=1}^{M} F_{ik}\,F_{jk}$$
#
# **Predict.** Which two *different* maps have the largest entry?
#
# - `"a"` warm and dark
# - `"b"` warm and line
# - `"c"` dark and line

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_pair = ...  # "a", "b" or "c"
guess_pair = "b"
# END SOLUTION

# %% [markdown]
# **Exercise (repetition).** You wrote this function in lesson 01. Write it again, for a batch and without loops.


# %% tags=["exercise"]
def my_gram_matrix(features):  # (N, C, H, W) -> (N, C, C), divided by H * W
    # SOLUTION
    rows = features.flatten(2)  # (N, C, H*W)
    return rows @ rows.transpose(1, 2) / rows.shape[2]
    # END SOLUTION


# %%
check.gram_matrix(my_gram_matrix)

# %%
toy_gram = gram_matrix(toy)[0]  # the library's function
solved.matrix_figure(toy_gram, names, names, "Lines occur more often with warm than with dark", "{:.2f}", log=False)

# %%
check.choice("maps that meet most", guess_pair)

# %% tags=["test"]
claims.the_toy_has_these_entries(toy, toy_gram)

# %% [markdown]
# The diagonal says how much of each feature there is: `warm` is 1 at two thirds of all positions. The other entries
# say which features occur at the same positions: warm and dark never do (0.00), lines do so more often with warm
# (0.33) than with dark (0.17). The matrix is symmetric. No entry says *where*.
#
# ## 2 · What the Gram matrix does not see
#
# Now a real painting (made by a program of ours). We take its activations at `relu3_1` and shuffle the positions.
#
# **Predict.** There are two ways to shuffle. Which one leaves the Gram matrix unchanged?
#
# - `"a"` all maps in the *same* new order
# - `"b"` each map in a *different* order
# - `"c"` both, because a sum does not depend on the order of its terms

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_shuffle = ...  # "a", "b" or "c"
guess_shuffle = "a"
# END SOLUTION

# %%
features = VGGFeatures(pooling="avg", precision="float32", device=pick_device())  # differences of 0.1 % count here
painting = gallery.style("nocturne", profile.size)  # (1, 3, H, W)
layers = [f"relu{block}_1" for block in range(1, 6)]


@torch.no_grad()
def read(picture, layers):
    """Return the activations of a picture: {layer: (1, C, H, W)}."""
    return {name: maps.cpu() for name, maps in features(picture.to(features.device), layers).items()}


# %%
def shuffled(maps, new_order):
    """Return maps (1, C, H, W) with the positions of each in a new order (H*W); ``new_order()`` is called for each."""
    rows = maps.flatten(2)[0]  # (C, H*W)
    return torch.stack([row[new_order()] for row in rows]).view_as(maps)


maps = read(painting, ["relu3_1"])["relu3_1"].double()
generator = torch.Generator().manual_seed(0)
one_order = torch.randperm(maps[0, 0].numel(), generator=generator)
together = shuffled(maps, lambda: one_order)
apart = shuffled(maps, lambda: torch.randperm(len(one_order), generator=generator))


def change(maps, target):
    """Return how far the Gram matrix of ``maps`` is from the target's, relative to the target's norm."""
    return style_loss(gram_matrix(maps), gram_matrix(target), "relative").sqrt().item()


print(f"all maps in the same order: the Gram matrix changes by {change(together, maps):.1e} of its norm")
print(f"each in an order of its own: the Gram matrix changes by {change(apart, maps):.1e} of its norm")

# %%
check.choice("shuffle that leaves the Gram matrix", guess_shuffle)

# %% tags=["test"]
claims.only_a_common_order_keeps_the_gram_matrix(maps, together, apart)

# %% [markdown]
# The Gram matrix records which features occur together, not where. It records even less: mixing the positions by any
# rotation (an orthogonal $M \times M$ matrix $Q$) leaves it unchanged, because $(FQ)(FQ)^\top = FF^\top$.
#
# **Shuffling activations is not the same as shuffling pixels.** We now cut the painting itself into square tiles, let
# the tiles change places, and measure how much the Gram matrix of each layer changes.
#
# **Predict.**
#
# - `"a"` no layer's Gram matrix changes, because it does not depend on positions
# - `"b"` all layers change by about the same amount
# - `"c"` the deeper the layer, the larger the tiles must be for the change to become small

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_tiles = ...  # "a", "b" or "c"
guess_tiles = "c"
# END SOLUTION


# %%
def shuffle_tiles(picture, side, seed=0):
    """Return the picture cut into squares of ``side`` pixels that change places."""
    pieces = F.unfold(picture, side, stride=side)  # (1, 3 * side * side, tiles)
    order = torch.randperm(pieces.shape[2], generator=torch.Generator().manual_seed(seed))
    return F.fold(pieces[:, :, order], picture.shape[2:], side, stride=side)


sides = [1, 2, 4, 8, 16, 32, 64] if profile.size >= 192 else [1, 2, 4, 8, 16]
height, width = (s // sides[-1] * sides[-1] for s in painting.shape[2:])
cut = painting[:, :, :height, :width]  # whole tiles only
tiled = {side: shuffle_tiles(cut, side) for side in sides}
slide({str(side): tiled[side] for side in sides[2::2]}, "side of the shuffled tiles in pixels", side=256)

# %%
wanted = read(cut, layers)
changes = {"the pixels": {side: 100 * change(tiled[side].double(), cut.double()) for side in sides}}
changes |= {name: {} for name in layers}
for side in sides:
    for name, maps_of_layer in read(tiled[side], layers).items():
        changes[name][side] = 100 * change(maps_of_layer, wanted[name])
solved.tile_figure(changes, "The deeper the layer, the larger the pieces that must stay whole")

# %%
check.choice("tiles and depth", guess_tiles)

# %% tags=["test"]
claims.deep_layers_need_large_tiles(changes, scale)

# %% [markdown]
# The Gram matrix of the pixels themselves (3 x 3: which colors occur together) never changes. `relu1_1` changes only
# at positions whose 3 x 3 pixels contain a border between tiles, and with large tiles there are few of these. Deeper
# layers have larger receptive fields, so more of their activations contain a border. The rings mark the tile that is
# as large as the receptive field (those of `relu4_1` and `relu5_1` are larger than any tile here): even there the
# change is not zero, because most positions still lie near a border. **A Gram matrix ignores arrangement only beyond
# the receptive field.** Within it, strokes, corners and lamps are kept.
#
# ## 3 · The style loss
#
# To paint with Gram matrices we need a loss. The diagram shows how it is computed.

# %%
diagrams.method("style")

# %% [markdown]
# For each layer $l$ the picture has a Gram matrix $G^l$ and the painting $A^l$. This course divides each layer's loss
# by the target's own sum of squares, so that all layers have comparable values: 0 is a perfect match, 1 is the loss
# of an all-zero map. Then it adds them up with a weight for each layer:
#
# $$L_\text{style} \;=\; \sum_l w_l\,\frac{\sum_{ij} (G^l_{ij} - A^l_{ij})^2}{\sum_{ij} (A^l_{ij})^2}$$
#
# **Exercise.** Write it. `maps` and `targets` are dictionaries by layer; only the layers in `weights` count. You may
# use `gram_matrix`. *Stuck?* `check.hint("style_loss_over_layers")`, up to three times.


# %% tags=["exercise"]
def my_style_loss(maps, targets, weights):
    """maps: {layer: (N, C, H, W)}, targets: {layer: (1, C, C)}, weights: {layer: number} -> (N,)"""
    # SOLUTION
    total = 0
    for name, weight in weights.items():
        gram, target = gram_matrix(maps[name]), targets[name]  # (N, C, C), (1, C, C)
        total = total + weight * (gram - target).square().sum((1, 2)) / target.square().sum((1, 2))
    return total
    # END SOLUTION


# %%
verdict = check.function("style_loss_over_layers", my_style_loss)
style_loss_of_layers = my_style_loss if verdict.ok else solved.style_loss_over_layers
verdict

# %% [markdown]
# Is it the loss that the library minimizes? Compare the two for white noise, with the five layers of Gatys:

# %%
noise = torch.rand(painting.shape, generator=torch.Generator().manual_seed(0))
targets = {name: gram_matrix(maps) for name, maps in read(painting, layers).items()}
ours = style_loss_of_layers(read(noise, layers), targets, dict.fromkeys(layers, 0.2)).item()

preset = get_preset("course")
objective = Objective(preset, features, style=painting)
_, weighted_style, _ = objective.weighted_terms(objective.terms(noise.to(features.device)))
library = weighted_style.item() / preset.style_weight
print(f"ours: {ours:.6f}   the library's: {library:.6f}")

# %% tags=["test"]
claims.both_style_losses_agree(ours, library)

# %% [markdown]
# ## 4 · A painting from its Gram matrices
#
# Keep nothing of the painting but Gram matrices. Start from white noise and change the pixels until the noise has the
# same ones. Report 003, after Gatys, uses five growing sets of layers: (a) `conv1_1`; (b) `conv1_1` and `conv2_1`;
# and so on to (e), all five. (Like most implementations, we take the activations after the ReLU.)
#
# **Predict.** The reflections on the water are upright columns of several yellow dashes. What is the first set whose
# picture has such columns? `"a"`, `"b"`, `"c"`, `"d"` or `"e"`

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_set = ...  # "a" to "e"
guess_set = "c"
# END SOLUTION


# %%
def from_noise(style_layers, **options):
    """Return the painting reconstructed from the Gram matrices of some layers; the content weight is zero."""
    weights = {name: 1 / len(style_layers) for name in style_layers}
    options = {"features": features, "steps": profile.steps, "tv_weight": 0.0, **options}
    return texture(painting, style_layers=weights, **options).image


grown = {f"({letter}) to relu{k}_1": from_noise(layers[:k], tv_weight=100) for k, letter in enumerate("abcde", 1)}
show({"the painting": painting, **grown}, columns=3)

# %%
check.choice("first set with columns of light", guess_set)

# %% [markdown]
# From (a) to (e) the painting returns at a larger and larger scale. (a) has its colors, in grains of a few pixels.
# (b) has short strokes and yellow spots. (c) has columns of light and strokes that run side by side. (d) and (e) also
# have round lights and parts of whirls. None has a sky above and water below: the arrangement is lost.
#
# (`tv_weight=100` is a weak smoothing prior, a tenth of the course's usual weight. Set it to 0 and look at the
# grain.)

# %% [markdown] tags=["solution-only"]
# ![Growing sets of layers, with the real and with the compact VGG-19](../../docs/images/real_vgg19/C1_style_sets.jpg)
#
# This figure was made with layers of the real VGG-19, above the compact network's, without a smoothing prior. The
# compact network imitates the real one up to `conv3_4`; its deeper layers, used in (d) and (e), are its own. They never
# saw the real VGG-19 and were trained on 202 classes of small pictures.

# %% [markdown]
# **Where is the arrangement?** Measure it: take two points that are a given number of pixels apart, across or down.
# How strongly does the brightness of one correlate with that of the other? 1 means equal, 0 means unrelated.
#
# **Predict.** Which pictures still have a correlation at the largest distance, an eighth of the picture's width?
#
# - `"a"` only the painting
# - `"b"` the painting and (e)
# - `"c"` the painting and (b) to (e)

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_far = ...  # "a", "b" or "c"
guess_far = "a"
# END SOLUTION


# %%
def correlation_at(picture, distances):
    """Return the correlation of brightness between points so many pixels apart, the mean of across and down."""
    gray = picture[0].mean(0)  # (H, W)
    gray = (gray - gray.mean()) / gray.std()
    height, width = gray.shape
    across = [(gray[:, d:] * gray[:, : width - d]).mean() for d in distances]
    down = [(gray[d:] * gray[: height - d]).mean() for d in distances]
    return {d: (a.item() + b.item()) / 2 for d, a, b in zip(distances, across, down)}


distances = range(0, profile.size // 8 + 1, max(1, profile.size // 128))
series = {"painting": correlation_at(painting, distances)}
series |= {name: correlation_at(picture, distances) for name, picture in grown.items()}
title = "Far apart, only the painting's brightness is correlated"
anatomy.lines(series, title, "correlation", xlabel="distance in pixels")

# %%
check.choice("correlation far apart", guess_far)

# %% tags=["test"]
claims.only_the_painting_is_correlated_far_apart(list(series.values()), scale)

# %% [markdown]
# The painting has a dark half and a bright half, so that even distant points have something in common. For (a) the
# correlation vanishes after a few pixels, for (b) to (e) somewhat later, and then all curves are near zero. That is
# the lost arrangement. From (b) on, more layers do not make the correlation reach farther: what the deep layers add
# is not visible in brightness alone. The Gram matrices of all five layers show it. Each row below was made from the
# layers up to its own; the layers to the right of the staircase were left free.


# %%
def distance(picture, layer_names):
    """Return how far the Gram matrices of a picture are from the painting's, in % of their norm, layer by layer."""
    found, target = read(picture, layer_names), read(painting, layer_names)
    return [100 * change(found[name], target[name]) for name in layer_names]


rows = {"the start: noise": noise, **grown}
grown_far = torch.tensor([distance(picture, layers) for picture in rows.values()])
solved.matrix_figure(grown_far, list(rows), layers, "Distance from the painting: small below the staircase")

# %% tags=["test"]
claims.the_distances_form_a_staircase(grown_far)
claims.the_next_layer_comes_nearer_by_itself(grown_far)

# %% [markdown]
# What was asked for has been matched to a few percent or better. One step to the right, the distance falls although
# the layer was left free: (b) does not use `relu3_1`, and is nearer to it than (a). In exchange, the more layers
# there are to match, the less exactly the first ones are matched in the same number of steps. Report 003's sentence
# holds: the pictures "match the style of a given image on an increasing scale while discarding information of the
# global arrangement of the scene".
#
# ## 5 · One layer at a time
#
# Report 004 uses a *single* pooling layer for each picture, from white noise, with content weight zero (and here
# without a smoothing prior). It calls the layers conv1 to conv5; they are `pool1` to `pool5`. It found fine patterns
# from 1 and 2, larger ones from 3 and 4, and that 5 "is blurry and has less feature of the original style image"; it
# then chose 3.
#
# **Predict.** Which single layer gives the picture whose Gram matrices at all five layers of Gatys are, on average,
# nearest to the painting's? `"pool1"`, `"pool2"`, `"pool3"`, `"pool4"` or `"pool5"`

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_single = ...  # "pool1" to "pool5"
guess_single = "pool3"
# END SOLUTION

# %%
pools = [f"pool{k}" for k in range(1, 6)]
single = {name: from_noise([name]) for name in pools}
slide({name: single[name] for name in pools[:3]}, "style reconstruction from one layer", side=384)

# %%
overall = {name: sum(distance(picture, layers)) / len(layers) for name, picture in single.items()}
best = min(overall, key=overall.get)
figures.bars(overall, "%", title="pool2 and pool3 come nearest (mean distance over relu1_1 to relu5_1)", highlight=best)

# %%
check.choice("best single layer", guess_single)

# %% tags=["test"]
claims.pool2_and_pool3_are_nearest(overall, scale)

# %% [markdown]
# `pool2` and `pool3` share the first place; which of the two wins may change from machine to machine. By this measure
# the report's choice is a good one. (The report gives no number for this choice.) The trend is
# the report's, too: grains from `pool1`, short strokes and first columns of light from `pool2`, long columns and
# curved strokes from `pool3`. All three have a fine grain.

# %% [markdown]
# **`pool4` and `pool5` are those of our compact network, not VGG-19's.** Here they give poor pictures (next figure).
# That cannot contradict the report, whose network was the real one; whether the real `pool5` gives a blurred picture
# remains open here. (`NST_PROFILE=gpu` runs these cells with the complete real weights.) We use our `pool5` for
# another question: how much of the picture does a deep layer determine?
#
# **Predict.** We start the same run, `pool5` alone, from a photo of a cat instead of noise. What will the result look
# like?
#
# - `"a"` like the painting: the Gram matrix of `pool5` is the painting's
# - `"b"` like the cat, with other fine detail
# - `"c"` like the result from noise, because the loss is the same

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_cat = ...  # "a", "b" or "c"
guess_cat = "b"
# END SOLUTION

# %%
cat = resize(gallery.content("chelsea"), tuple(painting.shape[2:]))
from_cat = from_noise(["pool5"], init=cat)
pictures = {"pool4 from noise": single["pool4"], "pool5 from noise": single["pool5"], "pool5 from the cat": from_cat}
slide(pictures, "style reconstruction", side=256)

# %%
starts = {"noise": (noise, single["pool5"]), "the cat": (cat, from_cat)}
fit = {name: [distance(picture, ["pool5"])[0] for picture in pair] for name, pair in starts.items()}
anatomy.Table(
    ["start", "distance from the painting at pool5: before", "after"],
    [[name, f"{before:.0f} %", f"{after:.1f} %"] for name, (before, after) in fit.items()],
)

# %%
check.choice("pool5 from a photo", guess_cat)

# %% tags=["test"]
claims.pool5_leaves_the_start_visible(fit, cat, from_cat, single["pool5"])

# %% [markdown]
# At `pool5` both results match the painting about equally well. So this Gram matrix alone determines little of the
# pixels; what it does not determine **stays as it was at the start**. What you see in a reconstruction from a deep
# layer therefore also depends on the start. To determine the pixels, the style loss needs the shallow layers as well.

# %% [markdown] tags=["solution-only"]
# ![Single pooling layers, with the real and with the compact VGG-19](../../docs/images/real_vgg19/C2_style_single.jpg)
#
# This figure was made with poolings of the real VGG-19, above those of the compact network. In both, `pool1` gives
# colors in small spots, and `pool2` and `pool3` give strokes, with foreign colors at `pool3`. So the foreign colors at
# `pool3` are no fault of the compact network. The figure ends at `pool3`, like the weights that we had.

# %% [markdown]
# ## 6 · Positive, but not definite
#
# Report 003 says that a Gram matrix "must be positive definite to exist", and refers to Mercer's theorem. A symmetric
# matrix is **positive definite** if $v^\top G\,v > 0$ for every vector $v \ne 0$; all its eigenvalues are then
# positive. We test it on the toy, with two more maps: the sum of `warm` and `dark`, and a map that is zero
# everywhere.
#
# **Predict.** The eigenvalues of a Gram matrix are
#
# - `"a"` always positive
# - `"b"` never negative, but some may be zero
# - `"c"` sometimes negative

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_sign = ...  # "a", "b" or "c"
guess_sign = "b"
# END SOLUTION

# %%
everywhere = toy[:, :1] + toy[:, 1:2]  # warm + dark
nothing = torch.zeros(1, 1, 6, 6)  # a dead channel: this feature does not occur
five = torch.cat([toy, everywhere, nothing], 1)
for name, maps_of_toy in (("three maps", toy), ("five maps ", five)):
    eigenvalues = torch.linalg.eigvalsh(gram_matrix(maps_of_toy.double())[0])
    print(name, [f"{abs(v):.3f}" for v in eigenvalues])

# %%
check.choice("signs of the eigenvalues", guess_sign)

# %% tags=["test"]
claims.dependent_and_dead_maps_give_zero_eigenvalues(toy, five)

# %% [markdown]
# The proof takes one line. For any $v$, one number for each map,
#
# $$v^\top G\,v \;=\; \tfrac1M\, v^\top F F^\top v \;=\; \tfrac1M\,\lVert F^\top v\rVert^2 \;\ge\; 0.$$
#
# A squared length is never negative, but it is zero when the linear combination $F^\top v$ of the maps is zero at
# every position. So a Gram matrix is always positive **semi**definite, and definite only if the maps are linearly
# independent.
#
# This also gives a case in which it *must* be singular: $F$ has $C$ rows of $M = H \cdot W$ numbers, and at most $M$
# rows of that length are independent. **With more channels than positions, at least $C - HW$ eigenvalues are zero.**
#
# **Exercise.** The real VGG-19 has 512 channels at `pool5`. How many eigenvalues of its Gram matrix are certainly
# zero for a picture of 512 x 384 pixels?

# %% tags=["exercise"]
# SOLUTION
# STUDENT: certain = ...  # a number, or how you compute it
certain = 512 - (512 // 32) * (384 // 32)
# END SOLUTION

# %%
check.number("zeros that are certain", certain)

# %% [markdown]
# **Exercise.** Show that such a matrix is singular: write a function that returns a vector $v$ of length 1 for which
# $F^\top v$ is zero at every position. The check uses activations in float64 for which there is one: with more
# channels than positions, with a dead channel, with dependent channels.


# %% tags=["exercise"]
def my_silent_combination(features):  # (1, C, H, W) -> (C,)
    # SOLUTION
    eigenvalues, eigenvectors = torch.linalg.eigh(gram_matrix(features)[0])  # (C,), (C, C): from small to large
    return eigenvectors[:, 0]
    # END SOLUTION


# %%
verdict = check.function("silent_combination", my_silent_combination)
silent_combination = my_silent_combination if verdict.ok else solved.silent_combination
verdict

# %% [markdown]
# Apply it to the painting at `pool5`, which has more channels than positions. $v^\top G\,v$ should be positive for a
# random vector and zero, up to rounding, for yours:

# %%
seen = read(painting, [*layers, "pool5"])
deep = seen["pool5"].double()  # (1, C, H, W)
matrix = gram_matrix(deep)[0]  # (C, C)
v = silent_combination(deep)
chance = torch.nn.functional.normalize(torch.randn(v.shape, generator=generator).double(), dim=0)
print(f"{deep.shape[1]} channels, {deep[0, 0].numel()} positions")
print(f"random vector: {chance @ matrix @ chance:.3g}   your vector: {v @ matrix @ v:.3g}")

# %% [markdown]
# And the other layers? They have more positions than channels, so nothing forces a zero. Here are all eigenvalues of
# each layer, from large to small, and their number.

# %%
spectra = {name: torch.linalg.eigvalsh(gram_matrix(maps.double())[0]).flip(0) for name, maps in seen.items()}
solved.spectrum_figure(spectra, "Deep layers have eigenvalues that are zero")

# %%
table = []
for name, values in spectra.items():
    channels, positions = seen[name].shape[1], seen[name][0, 0].numel()
    dead = int((seen[name][0].flatten(1).amax(1) == 0).sum())
    zero = int((values < 1e-12 * values[0]).sum())
    cholesky = torch.linalg.cholesky_ex(gram_matrix(seen[name])[0]).info.item() == 0
    table.append([name, channels, positions, max(0, channels - positions), dead, zero, "yes" if cholesky else "no"])
anatomy.Table(
    ["layer", "channels", "positions", "zeros forced", "dead channels", "zeros found", "Cholesky, float32"], table
)

# %% tags=["test"]
claims.zeros_are_forced_or_from_dead_channels(table, spectra, scale)
claims.the_vector_makes_the_form_zero(matrix, v, chance)

# %% [markdown]
# At `pool5` the eigenvalues fall to zero after as many as there are positions. In `relu4_1` and `relu5_1` the zeros
# come from **dead channels**, which are zero everywhere in this painting. (How many there are depends on the network
# and the painting.) A zero eigenvalue is not a loss of information: it says that this combination of features never
# occurs in the painting, and the style loss penalizes a picture in which it does.
#
# The last column tries a practical test: only a positive definite matrix has a Cholesky decomposition. Methods that
# whiten activations need the inverse root of such a matrix, and fail there. The usual cure is to add a small number
# to the diagonal, which raises all eigenvalues by that number.
#
# **And Mercer's theorem?** It is about kernels: a function $k(x, y)$ is an inner product in some space if (roughly)
# the matrix $K_{ij} = k(x_i, x_j)$ of any finite set of points is positive **semi**definite. It cannot ask for more:
# if two of the points are equal, two rows of $K$ are equal, and $K$ is singular, even for the plain inner product.
# Report 003 is right that a nonzero determinant means independent vectors; in a network they often are not.
#
# From the same $F$ one can form *two* matrices of inner products: of channels ($FF^\top$, ours) and of positions
# ($F^\top F$). Their nonzero eigenvalues are the same, so unless $C = M$ **one of the two is always singular**. The
# next section uses both.

# %%
flat = deep.flatten(2)[0]  # (C, M)
by_channel, by_position = (torch.linalg.eigvalsh(m).flip(0) for m in (flat @ flat.T, flat.T @ flat))
print(f"{len(by_channel)} x {len(by_channel)}, channels: ", [f"{v:.4g}" for v in by_channel[:4]])
print(f"{len(by_position)} x {len(by_position)}, positions:", [f"{v:.4g}" for v in by_position[:4]])

# %% tags=["test"]
claims.both_matrices_share_their_eigenvalues(by_channel, by_position)

# %% [markdown]
# ## 7 · Two clouds of points
#
# Why should matching *this* matrix match a style? Li, Wang, Liu and Hou (2017) gave an answer. At each position there
# are $C$ activations, so a position is a **point** in a space of $C$ dimensions, and a picture is a cloud of $M$
# points. Here are two of the coordinates at `relu1_1`:

# %%
pair = anatomy.top_channels(seen["relu1_1"], 2)
clouds = {"the painting": painting, "noise": noise, "(a), from the Gram matrix": grown["(a) to relu1_1"]}
figure, axes = anatomy.panels(3, height=2.9, sharex=True, sharey=True)
for ax, color, (name, picture) in zip(axes, figures.COLOURS, clouds.items()):
    points = read(picture, ["relu1_1"])["relu1_1"][0, pair].flatten(1)  # (2, M)
    chosen = torch.randperm(points.shape[1], generator=torch.Generator().manual_seed(1))[:1500]
    ax.plot(*points[:, chosen], ".", ms=2, alpha=0.4, color=color, rasterized=True)
    ax.set(title=name, xlabel=f"activation of channel {pair[0]}")
axes[0].set_ylabel(f"activation of channel {pair[1]}")
figure

# %% [markdown]
# The noise forms another cloud than the painting; the cloud of (a) lies where the painting's does, though not in all
# details. Shuffling the positions leaves a cloud as it is. So style, in this view, is a *distribution* of
# activations, and a style loss compares two distributions.
#
# A general way to do so is the **maximum mean discrepancy** (MMD). It needs a kernel $k(x, y)$ that measures how
# similar two points are. It asks whether points are more similar *within* each cloud than *between* the clouds:
#
# $$\mathrm{MMD}^2 \;=\; \operatorname{mean}_{x,x'} k(x, x') \;+\; \operatorname{mean}_{y,y'} k(y, y')
# \;-\; 2\operatorname{mean}_{x,y} k(x, y), \qquad k(x, y) = (x^\top y)^p$$
#
# **Predict.** For which power $p$ of this polynomial kernel is the MMD equal to the *Gram loss*
# $\sum_{ij} (G_{ij} - A_{ij})^2$?
#
# - `"a"` $p = 1$
# - `"b"` $p = 2$
# - `"c"` $p = 3$

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_power = ...  # "a", "b" or "c"
guess_power = "b"
# END SOLUTION

# %% [markdown]
# **Exercise.** Write the MMD for activations of two pictures, which may differ in size. All pairs count, also those
# of a point with itself. The check tries several powers, so a Gram matrix cannot replace the pairs.


# %% tags=["exercise"]
def my_mmd(features, target, power):  # (N, C, H, W), (N, C, h, w) -> (N,)
    # SOLUTION
    x, y = features.flatten(2), target.flatten(2)  # (N, C, M), (N, C, M')

    def mean_kernel(a, b):
        return ((a.transpose(1, 2) @ b) ** power).mean((1, 2))  # of all pairs (N, M, M')

    return mean_kernel(x, x) + mean_kernel(y, y) - 2 * mean_kernel(x, y)
    # END SOLUTION


# %%
verdict = check.function("mmd", my_mmd)
mmd = my_mmd if verdict.ok else solved.mmd
verdict

# %% [markdown]
# Now for the painting and picture (a) at `relu4_1`, in float64. The Gram loss compares $C^2$ numbers; the MMD goes
# over all pairs of positions and forms no Gram matrix.

# %%
x = read(grown["(a) to relu1_1"], ["relu4_1"])["relu4_1"].double()
y = seen["relu4_1"].double()
gram_loss = style_loss(gram_matrix(x), gram_matrix(y)).item()
means_loss = (x.mean((2, 3)) - y.mean((2, 3))).square().sum().item()
discrepancy = {power: mmd(x, y, power).item() for power in (1, 2, 3)}
for power, value in discrepancy.items():
    print(f"MMD, power {power}: {value:.15g}")
print(f"Gram loss:    {gram_loss:.15g}")
print(f"squared distance of the means: {means_loss:.15g}")

# %%
check.choice("power of the Gram loss", guess_power)

# %% tags=["test"]
claims.the_second_power_is_the_gram_loss(discrepancy, gram_loss, means_loss)
claims.both_losses_have_the_same_gradient(mmd, x, y)

# %% [markdown]
# With the second power the MMD equals the Gram loss to 13 digits or more; with the first it equals the squared
# distance of the means. To see why, write $G_{ij} A_{ij}$ as a sum over pairs of positions: $\sum_{ij} x_i x_j\, y_i
# y_j = \big(\sum_i x_i y_i\big)^2$, an inner product squared. (Gatys' $E_l$ is this loss times $\frac{1}{4N^2}$, with
# $N = C$ channels.)
#
# **Does an equal Gram matrix mean an equal distribution?** No: this kernel compares second moments only. Three pairs
# of small clouds on a line, and three powers:

# %%
values = {"{0, 2}": [0.0, 2.0], "{0, √2}": [0.0, 2 ** (1 / 2)], "{0, ∛2}": [0.0, 2 ** (1 / 3)]}
ones = torch.ones(1, 1, 1, 2, dtype=torch.double)
fooled = torch.stack(
    [torch.cat([mmd(torch.tensor(v).double().view(1, 1, 1, 2), ones, p) for p in (1, 2, 3)]) for v in values.values()]
)
anatomy.Table(
    ["MMD² from {1, 1} to", "power 1", "power 2", "power 3"],
    [[name, *(f"{abs(v):.3f}" for v in row.tolist())] for name, row in zip(values, fooled)],
)

# %% tags=["test"]
claims.each_power_misses_one_pair(fooled)

# %% [markdown]
# Each power misses one pair: it compares one moment, and the clouds agree in it. (The Gaussian kernel
# $e^{-\lVert x-y\rVert^2/2}$ combines all powers and misses no difference; such a kernel is called *characteristic*.)
#
# The second row shows more: **the Gram matrix does not determine the mean.** It is not centered:
#
# $$G \;=\; \text{covariance} \;+\; \mu\,\mu^\top$$
#
# The diagonal of $G$ holds the mean squares of the channels, and their sum is the trace. A share of it comes from the
# means.
#
# **Predict.** How many percent of the trace of $G$ at `relu3_1` come from the means, $\sum_c \mu_c^2 / \sum_c
# G_{cc}$?

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_share = ...  # percent
guess_share = 60
# END SOLUTION

# %%
shares = {}
for name, maps_of_layer in seen.items():
    gram, mean = gram_matrix(maps_of_layer.double())[0], maps_of_layer.double().mean((0, 2, 3))  # (C, C), (C,)
    from_means = mean.outer(mean)  # (C, C)
    covariance = gram - from_means
    trace = 100 * (from_means.trace() / gram.trace()).item()
    shares[name] = trace, *(100 * (part.norm() / gram.norm()).item() for part in (from_means, covariance))
check.prediction("share of the means at relu3_1", guess_share, shares["relu3_1"][0], "%")

# %%
anatomy.Table(
    ["layer", "trace: share of the means", "norm of the means' part", "norm of the covariance"],
    [[name, *(f"{value:.0f} %" for value in row)] for name, row in shares.items()],
)

# %% tags=["test"]
claims.means_and_covariance_both_matter(shares, scale)
claims.gram_is_covariance_plus_means(seen)

# %% [markdown]
# The means contribute between two fifths and two thirds of the trace; the rest is covariance. Do not read the norms
# as shares: the two columns add up to more than 100 %. The means' part has rank one, so its whole norm lies in a
# single eigenvalue, while that of the covariance is spread over many directions.
#
# Report 003 calls the Gram matrix "the correlation between feature maps". That is also Gatys' word, and the usual one
# in signal processing, where a correlation is a mean product, uncentered. In statistics a correlation is centered and
# divided by the standard deviations. A Gram matrix is neither.
#
# ## 8 · Fewer statistics
#
# If the means make up so much of a Gram matrix, how far do they get alone? We compare three losses on the same five
# layers, from the same noise:
#
# - the **means** only: $C$ numbers for each layer;
# - **means and standard deviations**, the numbers that a normalization layer removes: $2C$ numbers;
# - the **Gram matrix**: $C(C+1)/2$ different numbers. This is (e) from section 4.
#
# **Predict.** What does the picture made from the means alone look like?
#
# - `"a"` areas of color without strokes, because a mean has no structure
# - `"b"` it has strokes and lamps, but some colors are wrong
# - `"c"` it cannot be distinguished from the one made from Gram matrices

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_means = ...  # "a", "b" or "c"
guess_means = "b"
# END SOLUTION

# %% [markdown]
# **Exercise.** Write the second loss, for the mean $\mu_c$ and the standard deviation $\sigma_c$ of each channel $c$
# over the positions. Divide the variance by $H \cdot W$ and add $10^{-5}$ to it before the root, because the root of
# 0 has no gradient.
#
# $$L \;=\; \sum_c \big(\mu_c - \mu'_c\big)^2 + \sum_c \big(\sigma_c - \sigma'_c\big)^2$$


# %% tags=["exercise"]
def my_statistics_loss(features, target):  # (N, C, H, W), (N, C, h, w) -> (N,)
    # SOLUTION
    def statistics(maps):
        deviation = (maps.var((2, 3), correction=0) + 1e-5).sqrt()
        return torch.cat([maps.mean((2, 3)), deviation], 1)  # (N, 2 C)

    return (statistics(features) - statistics(target)).square().sum(1)
    # END SOLUTION


# %%
verdict = check.function("statistics_loss", my_statistics_loss)
statistics_loss = my_statistics_loss if verdict.ok else solved.statistics_loss
verdict

# %% [markdown]
# Any function that compares two activations can drive the optimization. The class below is a loss for the library's
# optimizer. It divides each layer's loss by that of an all-zero map, as in section 3.


# %%
class StyleBy:
    """A style loss over five layers; ``compare`` takes (N, C, H, W) and (N, C, h, w) and returns (N,)."""

    def __init__(self, compare, style):
        self.compare = compare
        self.target = {name: maps.to(features.device) for name, maps in read(style, layers).items()}
        self.zero = {name: compare(torch.zeros_like(maps), maps) for name, maps in self.target.items()}

    def terms(self, images):
        losses = {n: self.compare(f, self.target[n]) / self.zero[n] for n, f in features(images, layers).items()}
        return Terms(content={}, style=losses, tv=total_variation(images))

    def weighted_terms(self, terms):
        style = sum(terms.style.values()) / len(layers)
        return torch.stack([torch.zeros_like(style), 1e4 * style, 100 * terms.tv])


# %%
def gram_distance(features, target):
    return style_loss(gram_matrix(features), gram_matrix(target))


losses = {"means": solved.means_loss, "means and deviations": statistics_loss, "Gram matrices": gram_distance}
matched = {}
for name in ("means", "means and deviations"):
    loss = StyleBy(losses[name], painting)
    matched[name] = synthesize(loss, noise.to(features.device), steps=profile.steps).image.cpu()
matched["Gram matrices"] = grown["(e) to relu5_1"]
show({f"from {name}": picture for name, picture in matched.items()}, columns=3)

# %%
check.choice("means alone", guess_means)

# %% [markdown]
# **The means alone give strokes and columns of light.** If a channel responds to such columns, its mean says how much
# of them there is. A mean cannot say which features occur *together*: the first picture has bright green places, of
# which the painting has almost none. How far is each picture from the painting by each of the three losses?


# %%
@torch.no_grad()
def measured(picture):
    """Return how far a picture is from the painting by each loss: the root of the mean over the layers, in %."""
    found = [StyleBy(compare, painting).terms(picture.to(features.device)).style for compare in losses.values()]
    return [100 * (sum(style.values()) / len(layers)).sqrt().item() for style in found]


cross = torch.tensor([measured(picture) for picture in matched.values()])
rows = [f"made from {name}" for name in matched]
columns = [f"by {name}" for name in losses]
solved.matrix_figure(cross, rows, columns, "Distance from the painting: fewer statistics leave the others free")

# %% tags=["test"]
claims.means_alone_make_more_green(matched, painting, scale)
claims.every_loss_was_minimized(cross, measured(noise))
claims.fewer_statistics_leave_the_gram_matrix_free(cross)
claims.matching_deviations_also_matches_the_means(cross, scale)

# %% [markdown]
# Read the columns. By Gram matrices, the picture made from Gram matrices is the nearest, and the means alone leave
# the largest distance. The reverse is not true: the picture made from means and deviations is about as near *by
# means* as the one made from the means alone (here even a little nearer), because its loss contains the means, too.
# The picture from the Gram matrices is a little farther away in means and deviations: it has many more numbers to
# match in the same number of steps.
#
# This is why normalization layers matter for style. Whoever sets the mean and the deviation of every channel controls
# a good part of it: lesson 10 uses this in a network, and AdaIN (lesson 13) transfers a style in this way, in one
# step.
#
# ## 9 · What the reports found
#
# **Report 003** explains: "if two features are very close then its value is large so its more loss". The value of the
# entry is large, but it is not a loss. The loss is the *difference* from the painting's matrix. For the painting
# itself it is zero, however large the entries:

# %%
gram = gram_matrix(seen["relu1_1"])
print(f"largest entry: {gram.max():.1f}   loss: {style_loss(gram, gram).item()}")

# %% [markdown]
# **Report 004** prints $G_{ij} = \sum_k (F_{ik} - F_{jk})$, a minus where the product belongs. That matrix would hold
# differences of means only, with zeros on the diagonal. Probably it is a misprint: differences of means know less
# than the means themselves.

# %%
flat = toy[0].flatten(1)  # (C, M)
with_minus = (flat[:, None] - flat[None]).mean(2)  # (C, C)
figure, (left, right) = anatomy.panels(2, height=2.4)
solved.draw_matrix(left, with_minus, names, names, "with a minus, divided by M")
solved.draw_matrix(right, toy_gram, names, names, "the Gram matrix")
figure

# %% tags=["test"]
claims.a_minus_gives_differences_of_means(toy, with_minus)

# %% [markdown]
# | what a report says | what we found | section |
# |---|---|---|
# | 003: sets (a) to (e) match "on an increasing scale" and lose the arrangement | yes; the staircase and the correlation measure it | 4 |
# | 004: pool1 and pool2 fine, pool3 larger | yes | 5 |
# | 004: pool5 "is blurry" | not tested: our `pool5` is not VGG-19's | 5 |
# | 004: pool3 keeps most of the style | with our measure it shares the first place with pool2 | 5 |
# | 003: a Gram matrix "must be positive definite to exist" | semidefinite; singular with $C > HW$, a dead or a dependent channel | 6 |
# | 003: Mercer's theorem | asks for semidefinite matrices, for all sets of points | 6 |
# | 003: a nonzero determinant means independent vectors | right | 6 |
# | 003: "the correlation between feature maps" | Gatys' word as well; uncentered and not normalized | 7 |
# | 003 lists *Demystifying Neural Style Transfer* | its identity holds to 13 digits or more | 7 |
# | 003: a large value, "so its more loss" | only the difference from the target is a loss | 9 |
# | 004: a minus in the Gram matrix | would give differences of means | 9 |
#
# ## What you can do now
#
# - You can write the style loss over several layers, and explain what each layer adds to a reconstruction.
# - You can prove that a Gram matrix is positive semidefinite, and give a vector that shows when it is singular.
# - You can explain the Gram loss as a comparison of distributions, and write the MMD and a loss of means and
#   deviations.
#
# ## Three questions
#
# 1. You mirror the painting left to right. Does the Gram matrix of its pixels change? That of `relu1_1`?
# 2. The style loss of a picture is exactly 0 at `relu3_1`. Which of these are then equal to the painting's: the means
#    of the channels, their mean squares, the distribution of the activations?
# 3. A layer has 80 channels and 48 positions. A colleague's Cholesky decomposition fails, in float64 too. Why, and
#    what helps?

# %% [markdown] tags=["solution-only"]
# **Model answers**
#
# 1. The pixels' matrix does not change: the same colors occur together, at other positions. That of `relu1_1` does,
#    in general: a filter that responds to one direction of an edge now meets the other. (It would stay only if the
#    filters came in mirrored pairs and the matrix were sorted accordingly.)
# 2. Only the mean squares, which are the diagonal of the Gram matrix. The clouds {1, 1} and {0, √2} have the same
#    Gram matrix and different means, and so different distributions.
# 3. At most 48 of the 80 rows are independent, so at least 32 eigenvalues are zero and the matrix is not positive
#    definite; higher precision cannot change that. Adding a small number to the diagonal makes it definite.

# %% tags=["test"]
claims.mirroring_changes_deep_layers_more(distance(painting.flip(3), layers), changes, scale)

# %% [markdown]
# ## A project
#
# Gram matrices contain no positions, but a painting often has some order: its sky is above. Write a function
# `compare(features, target)` that keeps *a little* of the arrangement, for example one Gram matrix for the upper half
# and one for the lower half, and paint the night with the lamps below and the stars above:
# `synthesize(StyleBy(compare, painting), noise)`. How few positions are enough? What do you get in the limit, with
# one Gram matrix for each position?
#
# | | 0 points | 1 point | 2 points |
# |---|---|---|---|
# | the loss | runs only for one size | right for pictures of different sizes | also tested on maps with a known answer |
# | comparison | one picture | several numbers of parts | also the same runs from a second seed |
# | judgment | "looks better" | a measure, such as the brightness of both halves | a measure, and a picture in which it misleads |
#
# ## Further reading
#
# - L. Gatys, A. Ecker, M. Bethge: [Texture Synthesis Using Convolutional Neural Networks](https://arxiv.org/abs/1505.07376),
#   NeurIPS 2015. Introduces the Gram matrix; its figure 2 shows the growing sets.
# - L. Gatys, A. Ecker, M. Bethge: [A Neural Algorithm of Artistic Style](https://arxiv.org/abs/1508.06576), 2015. Figure 1
#   shows the sets (a) to (e) for The Starry Night.
# - Y. Li, N. Wang, J. Liu, X. Hou: [Demystifying Neural Style Transfer](https://arxiv.org/abs/1701.01036), IJCAI 2017. The
#   kernels, and matching the statistics of batch normalization.
# - A. Gretton and others: [A Kernel Two-Sample Test](https://jmlr.org/papers/v13/gretton12a.html), JMLR 2012. The maximum
#   mean discrepancy, and which kernels are characteristic.
#
# **Previous:** [02 · Content reconstruction](02_content_reconstruction.ipynb). **Next:**
# [04 · Texture synthesis](04_texture_synthesis.ipynb), where Gram matrices paint canvases of any size.
