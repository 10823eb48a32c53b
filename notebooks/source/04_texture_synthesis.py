# %% [markdown] tags=["title"]
# # 04 · Texture synthesis
#
# *Question*: Can numbers alone paint new brush strokes?
#
# *Time*: 60 minutes to read and work; computing: 3.5 minutes on a slow processor (AVX2), 3.5 on one with bfloat16.
#
# In lesson 03 you computed the Gram matrices of a painting: for five layers, a table that says how strongly each pair
# of channels is active together, without positions. Here we discard the painting, keep these tables, and look for a
# picture that has the same ones. We start from noise. The result is called a *texture*.
#
# You need the Gram matrix (lesson 01), the optimization loop with Adam (lesson 02) and the style loss (lesson 03). At
# the end you can
#
# - write a program that synthesizes a texture of any size;
# - measure whether a result copies its source;
# - say which kind of structure a Gram matrix loses, and add a term that restores part of it.

# %%
import torch

import nstlib
from nstlib import VGGFeatures, gram_matrix, resize, style_loss, texture
from nstlib.course import check, diagrams, exercises, figures, profile_for, show
from nstlib.course.anatomy import Table, lines
from nstlib.course.interactive import slide
from nstlib.course.tasks import lesson_04 as solved
from nstlib.data import gallery
from nstlib.objective import Terms
from nstlib.runtime import pick_device

profile = profile_for("04_texture_synthesis")
features = VGGFeatures(pooling="avg", device=pick_device())  # one network for the whole lesson
LAYERS = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
profile

# %% tags=["test"]
from nstlib.course.claims import lesson_04 as claims
from nstlib.runtime import profile as profile_in_force

scale = profile_in_force()  # "smoke", "cpu" or "gpu"

# %% [markdown]
# ## 1 · From noise to a texture
#
# Report 002 uses Van Gogh's *Starry Night*. We use a night scene painted for this course: stars and a moon above, a
# town in the middle, lamps reflected in the water below. To use another picture, such as a file of *Starry Night*, give
# its name in `my_file`. With the ImageNet weights (profile `gpu`) the cell fetches *Starry Night* itself.

# %%
my_file = None  # for example "starry_night.jpg"
painting = nstlib.load(my_file, profile.size) if my_file else gallery.style("nocturne", profile.size)  # (1, 3, H, W)
if features.weights_name == "imagenet" and not my_file:
    try:
        painting = gallery.painting("starry_night", profile.size)
    except gallery.GalleryError as error:
        print(error)
high, wide = painting.shape[2:]
noise = torch.rand(painting.shape, generator=torch.Generator().manual_seed(0))
slide({"the painting": painting, "the start": noise}, "our two pictures", side=256)

# %% [markdown]
# The loss of a layer $l$ is the relative style loss of lesson 03:
#
# $$L_l \;=\; \frac{\sum_{ij} \left(G^l_{ij} - A^l_{ij}\right)^2}{\sum_{ij} \left(A^l_{ij}\right)^2},
# \qquad G^l_{ij} = \frac{1}{M_l} \sum_{k=1}^{M_l} F^l_{ik} F^l_{jk}$$
#
# $G^l$ belongs to the picture that changes and $A^l$ to the painting; $M_l$ is the number of positions. The total loss
# is the mean of the five layers. There is no content term.

# %%
diagrams.method("texture")

# %% [markdown]
# **Predict.** We change the noise until its Gram matrices are close to those of the painting. What will the picture
# show?
#
# - `"a"` the painting again, a little blurred
# - `"b"` strokes, stars and lamps like those of the painting, but new ones at other positions
# - `"c"` the colors of the painting, without shapes

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess = ...  # "a", "b" or "c"
guess = "b"
# END SOLUTION

# %% [markdown]
# **Exercise: the texture loop.** Write the loop. It is your Adam loop of lesson 02 with another loss.
#
# - `extract(picture)` returns the activations (1, C, h, w) by layer, and `targets` holds the Gram matrices (1, C, C) of
#   the painting by layer.
# - Use `gram_matrix(maps)` and `style_loss(gram, target, "relative")`, which returns one number for each picture.
# - Keep the pixels in [0, 1] after each step, leave `start` unchanged, and return a picture without a gradient.
#
# You may use L-BFGS with a closure instead of Adam.


# %% tags=["exercise"]
def paint_texture(extract, targets, start, steps, rate):
    # SOLUTION
    picture = start.clone().requires_grad_()  # (1, 3, H, W)
    optimizer = torch.optim.Adam([picture], lr=rate)
    for _ in range(steps):
        maps = extract(picture)  # {layer: (1, C, h, w)}
        losses = [style_loss(gram_matrix(maps[layer]), targets[layer], "relative").sum() for layer in targets]
        optimizer.zero_grad()
        (sum(losses) / len(losses)).backward()
        optimizer.step()
        with torch.no_grad():  # no part of the loss
            picture.clamp_(0, 1)
    return picture.detach()
    # END SOLUTION


# %%
verdict = check.function("texture loop", paint_texture)
loop = paint_texture if verdict.ok else solved.paint_texture  # until yours is right, ours is used
verdict


# %%
def extract(picture):
    return features(picture, LAYERS)


with torch.no_grad():
    targets = {layer: gram_matrix(maps) for layer, maps in extract(painting.to(features.device)).items()}
first = loop(extract, targets, noise.to(features.device), profile.steps, 0.05).cpu()

# %% [markdown]
# The library's `texture` minimizes the same loss (plus a small total variation) with L-BFGS. We keep some of its
# pictures on the way.

# %%
moments = {}
keep_at = {profile.steps // 20, profile.steps // 8, profile.steps // 3, profile.steps}


def keep(record):
    if record.step in keep_at:
        moments[f"step {record.step}"] = record.image


result = texture(painting, steps=profile.steps, init=noise, features=features, callback=keep)
slide({"painting": painting, "texture, loop with Adam": first, "texture, library": result.image}, "shown", side=384)

# %%
check.choice("what comes out of noise", guess)

# %% [markdown]
# Both textures have strokes, stars and lamps in the colors of the painting, and nothing is at its place: there is no
# sky above, no water below and no horizon. A Gram matrix is a mean over all positions. It keeps *which activations
# occur together* and discards *where*. Parts that are far from each other in the painting, such as stars and lamps, are
# mixed. The texture of your loop is grainier than the library's; the loop has no total variation term. Add the one of
# lesson 02 and compare.

# %% tags=["test"]
claims.the_loop_paints_a_texture(
    solved.gram_losses(extract, targets, first), solved.gram_losses(extract, targets, noise)
)
claims.nothing_is_at_its_place(painting, {"adam": first, "lbfgs": result.image})

# %% [markdown]
# ## 2 · What falls
#
# Move the slider to see the picture after some of the steps.

# %%
slide(dict(list(moments.items())[:3]), "L-BFGS", side=256)

# %%
solved.curves(
    {layer: {r.step: r.style[layer] for r in result.records} for layer in LAYERS},
    "All five layers fall by a factor of 100 or more, and none reaches zero",
    "step (evaluations of the loss)",
    "relative style loss",
    log=True,
)

# %% tags=["test"]
claims.all_layers_fall_and_none_reaches_zero(result.records, scale)

# %% [markdown]
# The vertical axis is logarithmic, so most of the change comes early.
#
# The same program works for other paintings. In each pair the source is on the left:

# %%
names = ["stained_glass", "waves", "golden"][: profile.images]
sources = {name: gallery.style(name, profile.size) for name in names}
painted = {name: texture(source, steps=profile.steps, features=features).image for name, source in sources.items()}
slide({name.replace("_", " "): torch.cat([sources[name], painted[name]], 3) for name in names}, "source and texture")

# %% [markdown]
# ### How many numbers?
#
# **Exercise.** How many numbers describe the painting here? A Gram matrix of $C$ channels has $C \times C$ entries, but
# $G_{ij} = G_{ji}$. Count each pair $i \le j$ once, and add over the five layers. `features.channels(layer)` is $C$.

# %% tags=["exercise"]
# SOLUTION
# STUDENT: how_many = ...  # your code here
how_many = sum(features.channels(layer) * (features.channels(layer) + 1) // 2 for layer in LAYERS)
# END SOLUTION

# %%
check.number("how many numbers", how_many, [features.channels(layer) for layer in LAYERS])

# %%
statistics = {
    "pixel values of the painting": painting.numel(),
    f"Gram matrices, {features.weights_name} network": solved.count_statistics(map(features.channels, LAYERS)),
    "Gram matrices, full VGG-19": solved.count_statistics((64, 128, 256, 512, 512)),
}
figures.bars({name: count / 1000 for name, count in statistics.items()}, "thousand", title="How many numbers")

# %% [markdown]
# With the compact network, the Gram matrices have fewer numbers than the picture has pixel values. With the full VGG-19
# they have about twice as many. Could so many numbers determine the whole picture? Section 4 tests it.
#
# ## 3 · Any size
#
# A Gram matrix has no height and no width, so the new picture may have any size.
#
# **Predict.** We synthesize a texture that is twice as high and twice as wide as the painting. What will its strokes be
# like?
#
# - `"a"` twice as large, as in an enlarged photo
# - `"b"` as large as before, and four times as many
# - `"c"` as many as before, with gaps between them

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_strokes = ...  # "a", "b" or "c"
guess_strokes = "b"
# END SOLUTION

# %%
sizes = {"half": (high // 2, wide // 2), "twice as wide": (high, 2 * wide), "four times the area": (2 * high, 2 * wide)}
steps = profile.steps // 2  # large pictures take long
grown = {"as the painting": result.image}
for name, size in sizes.items():
    grown[name] = texture(painting, size, steps=steps, features=features).image

# %%
sheet = torch.ones(1, 3, 2 * high, 2 * wide)  # three of them on one sheet
gap = high // 40
for name, (y, x) in {"as the painting": (0, 0), "half": (0, wide + gap), "twice as wide": (high + gap, 0)}.items():
    h, w = grown[name].shape[2:]
    sheet[:, :, y : y + h, x : x + w] = grown[name][:, :, : 2 * high - y]
slide(
    {"as large, a quarter of the area, twice as wide": sheet, "four times the area": grown["four times the area"]},
    "at the same scale",
    side=400,
)

# %%
check.choice("strokes on a larger canvas", guess_strokes)

# %% [markdown]
# The layers compute the same activations for a stroke wherever it is, so the targets fix the size of a stroke and not
# the size of the picture.
#
# ### Mean or sum?
#
# This works because of one division. `gram_matrix` divides by the number of positions, so an entry is the *mean* of
# a product. Gatys' equation, and report 002's, has the plain sum $\sum_k F_{ik} F_{jk}$ instead.
#
# **Exercise.** Suppose that we match sums (`divisor="none"`), and that the new picture is twice as wide as the
# painting. It has twice as many positions, but its sums must be equal to the painting's. By what factor must all
# activations differ from those of the painting, if they all differ by the same factor?

# %% tags=["exercise"]
# SOLUTION
# STUDENT: factor = ...  # a number
factor = (1 / 2) ** 0.5
# END SOLUTION

# %%
check.number("the factor of the activations", factor)

# %% [markdown]
# **Predict.** What will a picture look like whose sums match?
#
# - `"a"` as before, but darker everywhere
# - `"b"` strokes in one part, and another part that is nearly gray
# - `"c"` strokes that are twice as wide

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_sums = ...  # "a", "b" or "c"
guess_sums = "b"
# END SOLUTION

# %%
sums = nstlib.get_preset("course").replace(gram_divisor="none")
summed = texture(painting, sizes["twice as wide"], sums, steps=steps, features=features).image
slide({"means": grown["twice as wide"], "sums": summed}, "Gram matrices with", side=400)

# %%
check.choice("painted with sums", guess_sums)


# %%
def rms(picture, layer):
    """The root of the mean square of all activations of a layer."""
    with torch.no_grad():
        return extract(picture.to(features.device))[layer].float().square().mean().sqrt().item()


strength = {
    name: {layer: rms(picture, layer) / rms(painting, layer) for layer in LAYERS}
    for name, picture in {"means": grown["twice as wide"], "sums": summed}.items()
}
strength["root of 1/2"] = dict.fromkeys(LAYERS, 0.5**0.5)
lines(
    strength,
    "With sums, all activations are weaker by nearly the root of 2",
    "rms relative to the painting",
    xlabel="layer",
)

# %% tags=["test"]
claims.sums_weaken_the_activations(strength, scale)
assert grown["four times the area"].shape[2:] == (2 * high, 2 * wide)

# %% [markdown]
# The calculation holds for each of the five layers, within a tenth. The strokes keep their strength where they are; the
# rest of the canvas is filled with gray scales, which have weak activations, because the network's preprocessing
# subtracts a mean color. The program does not fail and its loss falls as usual, so this mistake is easy to overlook
# (lesson 09 has it, too). With sums, both pictures must have the same size; reports 000 and 001 resize both pictures to
# one size.
#
# Which layer contributes which structure is the subject of lesson 03. Here we always use all five.
#
# %% [markdown]
# ## 4 · Is it a copy?
#
# The Gram matrices contain many numbers. Does the result consist of copied parts of the painting? A measure must find
# a copy wherever it is, also if it is turned or mirrored.
#
# **Exercise: a measure of copying.** Write a function that takes square patches (N, 3, s, s) and a source (1, 3, H, W).
# For each patch it compares all positions of the source, in all eight symmetries of a square (four quarter turns, each
# also mirrored), and returns the smallest root mean square difference of the pixel values, (N,). A copied patch has the
# distance 0.
#
# `torch.nn.functional.unfold(source, s)` returns all patches of the source as columns, (1, 3 * s * s, positions), and
# `torch.cdist(a, b)` all distances between the rows of two matrices. *Stuck?* `check.hint("copy distance")`.


# %% tags=["exercise"]
def copy_distance(patches, source):
    # SOLUTION
    side = patches.shape[-1]
    places = torch.nn.functional.unfold(source, side)[0].T  # (positions, 3 * s * s)
    copies = [patches.rot90(k, (2, 3)) for k in range(4)]
    copies = torch.stack([*copies, *(copy.flip(3) for copy in copies)]).flatten(2)  # (8, N, 3 * s * s)
    distances = torch.cdist(copies.flatten(0, 1), places).view(8, len(patches), -1)  # (8, N, positions)
    return distances.amin((0, 2)) / (3 * side * side) ** 0.5
    # END SOLUTION


# %%
verdict = check.function("copy distance", copy_distance)
measure = copy_distance if verdict.ok else solved.copy_distance
verdict

# %% [markdown]
# A distance needs a level to compare with. The painting itself gives one: patches of its left half, searched in its
# right half, and the other way round. Both halves are by the same painter and nothing in them is copied. For a fair
# comparison, patches of the texture are searched in one half at a time as well.
#
# **Predict.** For patches of 15 pixels, divide the distance of the texture from the painting by the distance of
# one half of the painting from the other. 0 is a copy; 1 means as far apart as the halves. Which number do you expect?

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_copy = ...  # a number
guess_copy = 0.7
# END SOLUTION


# %%
def distance(picture, source, side):
    """The mean distance of 48 random patches of a picture from the nearest in a source."""
    return measure(solved.random_patches(picture, side, count=48), source).mean().item()


# %%
left, right = painting[..., : wide // 2], painting[..., wide // 2 :]
sides = [5, 9, 15, 21]
levels = {
    "texture, in each half": {
        s: (distance(result.image, left, s) + distance(result.image, right, s)) / 2 for s in sides
    },
    "one half, in the other": {s: (distance(left, right, s) + distance(right, left, s)) / 2 for s in sides},
}
lines(
    levels,
    "The texture is about as far from the painting as one half is from the other",
    "rms difference of the pixels",
    xlabel="side of a patch in pixels",
)

# %%
ratio = levels["texture, in each half"][15] / levels["one half, in the other"][15]
check.prediction("distance over the level", guess_copy, ratio)

# %% [markdown]
# The measure must also *find* copies. We test it on five pictures that are copies, and on noise:

# %%
controls = {
    "mirrored painting": painting.flip(3),
    "transposed painting": painting.transpose(2, 3),
    "right half twice": torch.cat([right, right], 3),
    "turned by half a turn": painting.flip((2, 3)),
    "quarters exchanged": painting.roll((high // 2, wide // 2), (2, 3)),
    "our texture": result.image,
    "noise": noise,
}
found = {name: distance(picture, painting, 15) for name, picture in controls.items()}
figures.bars(found, title="Distance of 15-pixel patches from the painting: copies are found", highlight="our texture")

# %% tags=["test"]
claims.copies_are_found(found, scale)
claims.the_texture_is_about_as_far_as_the_halves(levels, scale)

# %% [markdown]
# The five copies have distances near 0. (The two that contain a cut are not exactly 0, because some patches lie across
# the cut.) The texture's distance is more than three times as large as each of theirs. Searched in one half at a time,
# the texture is about as far from the painting as one half of the painting is from the other: for all four sides the
# two distances differ by less than 15 % (48 random patches each). So by this measure, for this painting at 256 pixels,
# the texture contains no more copied patches of 5 to 21 pixels than one half of the painting contains of the other.
#
# The measure has limits. It does not find a copy that is scaled, bent, blurred or recolored.

# %%
side = wide // 8
pieces = solved.random_patches(result.image, side, count=4, seed=1)
nearest = torch.cat([solved.nearest_patch(piece[None], painting) for piece in pieces])
show([*pieces.split(1), *nearest.split(1)], ["patch"] * 4 + ["nearest in the painting"] * 4, columns=4)

# %% [markdown]
# In the lower row are the nearest patches of the painting, turned or mirrored where that is nearer. The colors
# are similar, and the strokes differ.
#
# ### More numbers than pixels
#
# Section 2 asked whether Gram matrices with more numbers than the picture has pixel values could determine the picture.
# We cannot run the full VGG-19 here, but we can turn the question round: a very small picture has fewer pixel values
# than the compact network has numbers. We shrink the painting, synthesize its texture from noise, and
# correlate the result with the source, pixel by pixel. 1 means the same picture; 0 means that nothing is at its place.
#
# **Predict.** What happens if there are eight numbers for each pixel value?
#
# - `"a"` new strokes in other places, as at the large size
# - `"b"` a part of the layout of the source comes back
# - `"c"` a mirrored or turned copy of the source appears

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_small = ...  # "a", "b" or "c"
guess_small = "b"
# END SOLUTION


# %%
def correlation(a, b):
    """The correlation of two pictures (1, 3, H, W), pixel by pixel, each color less its mean."""
    a, b = ((p - p.mean((2, 3), keepdim=True)).flatten() for p in (a, b))
    return torch.nn.functional.cosine_similarity(a, b, dim=0).item()


def small_texture(width, layers):
    """A small copy of the painting, and its texture by some layers."""
    source = resize(painting, (width * high // wide, width))
    weights = dict.fromkeys(layers, 1 / len(layers))
    run = texture(source, steps=small_steps, features=features, style_layers=weights)
    return source, run.image


small_steps = 2 * profile.steps
runs = {(wide, 5): (painting, result.image)}  # from section 1
runs |= {(width, 5): small_texture(width, LAYERS) for width in (32, 48, 64, profile.size // 2)}
runs |= {(32, count): small_texture(32, LAYERS[:count]) for count in (2, 3)}

# %%
rows, correlations = [], {}
for (width, count), (source, run) in sorted(runs.items(), key=lambda item: (-item[0][0], item[0][1])):
    numbers = solved.count_statistics(features.channels(layer) for layer in LAYERS[:count])
    correlations[width, count] = correlation(source, run)
    per_value = f"{numbers / source.numel():.2f}"
    rows.append([f"{width} x {source.shape[2]}", count, int(numbers), per_value, f"{correlations[width, count]:.2f}"])
Table(["pixels", "layers", "numbers", "numbers per pixel value", "correlation with the source"], rows)

# %%
before, after = (resize(picture, (8 * picture.shape[2], 8 * picture.shape[3])) for picture in runs[32, 5])
slide({"the painting": before, "its texture by five layers, from noise": after}, "32 pixels wide", side=256)

# %%
check.choice("a very small painting", guess_small)

# %% tags=["test"]
claims.the_layout_returns_when_numbers_outnumber_pixels(correlations, correlation(painting, result.image), scale)

# %% [markdown]
# For the large texture the correlation is near 0. It rises as soon as the matrices have more numbers than the picture
# has pixel values, and reaches about a half with eight numbers for each value. With two layers at 32 pixels, which have
# fewer numbers than the picture, it is near 0.1. So part of the arrangement returns (at 32 pixels the dark sky, the
# bright moon and the lamps are near their places), but not the picture: the optimization from noise does not find the
# source, although the source has the loss 0.
#
# For the full VGG-19 at 256 pixels there are about two numbers for each pixel value. Our measurement is of another
# network and of smaller pictures, where receptive fields cover more of the picture, so it does not tell what VGG-19
# would do. With the profile `gpu` and VGG's weights you can measure it: `correlation(painting, result.image)`. If
# copying matters to you (for the work of a living artist, say), measure it for your own case.
#
# %% [markdown]
# ## 5 · Why noise?
#
# Report 002 starts from "a blank image with noise". Is the noise needed, or would a blank image do?
#
# **Predict.** We start from an image of one gray. What happens?
#
# - `"a"` the same as from noise, only slower
# - `"b"` the gray stays, because the gradient is zero
# - `"c"` strokes appear at the border and grow inwards

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_start = ...  # "a", "b" or "c"
guess_start = "c"
# END SOLUTION

# %%
mean = painting.mean((2, 3), keepdim=True)
starts = {
    "no noise: gray": torch.full_like(noise, 0.5),
    "right mean, weak noise": (mean + 0.1 * (noise - 0.5)).clamp(0, 1),
}
moments = {}
started = {
    name: texture(
        painting, steps=profile.steps, init=start, features=features, callback=keep if "gray" in name else None
    )
    for name, start in starts.items()
}
started["full noise"] = result
slide({name: run.image for name, run in started.items() if run is not result}, "result from", side=384)

# %%
slide(dict(list(moments.items())[:3]), "from gray", side=256)

# %%
check.choice("a start without noise", guess_start)

# %% [markdown]
# From gray, the picture gets a frame: strokes follow the border. In an image of one color all positions have the same
# activations, so all pixels receive the same gradient and change in the same way. Only the border differs, because the
# convolutions see the zeros of their padding there. Is this explanation right? We measure how much the gradient at each
# pixel differs from that of the middle pixel, in the very first step. We use the first three layers, whose receptive
# fields are at most 24 pixels wide.


# %%
def gradient_difference(start):
    """The first gradient at each pixel less that of the middle, relative to the mean size of the gradient."""
    picture = start.to(features.device).requires_grad_()
    maps = features(picture, LAYERS[:3])
    loss = sum(style_loss(gram_matrix(maps[layer]), targets[layer], "relative") for layer in LAYERS[:3])
    (gradient,) = torch.autograd.grad(loss.sum(), picture)
    middle = gradient[:, :, high // 2, wide // 2, None, None]
    return ((gradient - middle).norm(dim=1) / gradient.norm(dim=1).mean())[0].cpu()


differences = {"gray": gradient_difference(starts["no noise: gray"]), "noise": gradient_difference(noise)}
solved.curves(
    {f"from {name}": solved.border_profile(values) for name, values in differences.items()},
    "From gray, only pixels near the border differ from the middle",
    "distance from the border in pixels",
    "difference, relative to the mean",
)

# %% tags=["test"]
claims.from_gray_only_the_border_differs(differences)

# %% [markdown]
# The measurement agrees. Farther than 20 pixels from the border the gradient from gray equals that of the middle
# pixel. The noise makes positions different from each other. How much noise there is, and around which color, hardly
# matters at the end:

# %%
tenth = profile.steps // 10
Table(
    ["start", "loss at the start", f"after {tenth} steps", f"after {profile.steps}"],
    [
        [name, *(f"{min(r.total for r in run.records[:k]):,.1f}" for k in (1, tenth, profile.steps))]
        for name, run in started.items()
    ],
)

# %% tags=["test"]
claims.all_starts_end_with_nearly_the_same_loss(started, scale)

# %% [markdown]
# The start with the mean color of the painting is ahead at first, because its colors are already right. At the end the
# three losses differ by less than 15 %, also that of the picture with the frame: the loss does not show it.
#
# ## 6 · Where it fails
#
# In the night scene the lost order is hard to notice. Two pictures that consist of order:

# %%
n = max(96, profile.size)  # side of the pictures in pixels
field = n // 8  # side of a field of the board
grids = {"wall": solved.bricks(n, n // 16, n // 8, joint=3), "board": solved.board(n, field)}
periods = {"wall": n // 8, "board": 2 * field}  # in pixels, down and to the right
steps = max(profile.steps * 5 // 6, 60)
slide(grids, "source", side=256)

# %% [markdown]
# We measure order by the **autocorrelation**: the correlation of a picture with itself, shifted by some pixels. It is 1
# for the shift 0, and near 0 where the two positions have nothing to do with each other. Shifted by one period, a
# perfect grid is on itself again. The *order* of a picture is the mean of two autocorrelations: one period to the right
# and one period down.
#
# **Predict.** What is the order of the textures of wall and board? Give one number for the wall, between 0 and 1.

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_order = ...  # a number
guess_order = 0.3
# END SOLUTION

# %%
plain = {name: texture(grid, steps=steps, features=features).image for name, grid in grids.items()}
slide({"wall": plain["wall"], "board": plain["board"]}, "texture of", side=384)

# %%
solved.autocorrelation_figure(grids, plain, periods)

# %%
orders = {"Gram matrices": {name: solved.order(plain[name], periods[name]) for name in grids}}
check.prediction("order of the wall", guess_order, orders["Gram matrices"]["wall"])

# %% tags=["test"]
claims.gram_matrices_lose_the_grid(grids, plain, periods)

# %% [markdown]
# The texture has bricks and mortar, and fields in the right colors, but its order is near 0: one period away, the
# brightness is not the same any more. There are two reasons. A Gram matrix multiplies activations **at the same
# position**; it has no entry for mortar *here* and mortar 16 pixels away. And one activation covers only its receptive
# field. Symmetric shapes, perspective and text fail for the same reasons.
#
# Published remedies:
#
# | idea | by | what it adds |
# |---|---|---|
# | shifted Gram matrices | Berger and Memisevic 2017 | products of activations at positions a fixed distance apart |
# | deep correlations | Sendik and Cohen-Or 2017 | the autocorrelation of each feature map |
# | spectrum | Liu, Gousseau and Xia 2016 | the Fourier spectrum of the source |
# | coarse to fine | Gatys and others 2017; Snelgrove 2017 | synthesis at a small size first, where a period fits into the receptive field |
# | whole distributions | Risser and others 2017; Heitz and others 2021 | histograms or the sliced Wasserstein distance |
#
# The first four concern *where*. The last concerns another loss of information: a mean of products does not determine
# the distribution of the activations at one position.
#
# ## 7 · Shifted Gram matrices
#
# Berger and Memisevic multiply channel $i$ at position $k$ with channel $j$ at a position that is shifted by $\delta$:
#
# $$G^{\delta}_{ij} \;=\; \frac{1}{|K|} \sum_{k \in K} F_{i,\,k}\, F_{j,\,k+\delta}$$
#
# $K$ are the positions for which $k + \delta$ is inside the picture. For $\delta = 0$ it is the Gram matrix.
#
# **Exercise.** Write it for `features` of shape (N, C, H, W) and a shift of `down` rows and `right` columns, both 0 or
# more. The result has the shape (N, C, C). *Stuck?* `check.hint("shifted_gram")`.


# %% tags=["exercise"]
def shifted_gram(features, down, right):
    # SOLUTION
    h, w = features.shape[2:]
    here = features[:, :, : h - down, : w - right].flatten(2)  # (N, C, |K|)
    there = features[:, :, down:, right:].flatten(2)  # (N, C, |K|)
    return here @ there.transpose(1, 2) / here.shape[2]
    # END SOLUTION


# %%
verdict = check.shifted_gram(shifted_gram)
shifted = shifted_gram if verdict.ok else exercises.shifted_gram
verdict

# %% [markdown]
# Now an objective that contains them. `synthesize` needs two methods: `terms` returns the losses by name, and
# `weighted_terms` their three weighted sums (content, style, total variation). A key is (layer, down, right). Half of
# the style weight stays with the plain Gram matrices, whose shift is (0, 0).


# %%
class WithShifts:
    def __init__(self, source, shifts):
        self.keys = [(layer, 0, 0) for layer in LAYERS] + shifts
        with torch.no_grad():
            self.targets = self.grams(source.to(features.device))

    def grams(self, picture):
        maps = features(picture, [layer for layer, _, _ in self.keys])
        return {(layer, y, x): shifted(maps[layer].float(), y, x) for layer, y, x in self.keys}


# %%
class ShiftObjective(WithShifts):
    def terms(self, picture):
        losses = {key: style_loss(g, self.targets[key], "relative") for key, g in self.grams(picture).items()}
        return Terms({}, losses, nstlib.total_variation(picture))

    def weighted_terms(self, terms):
        same = [loss for (_, y, x), loss in terms.style.items() if y == x == 0]
        apart = [loss for (_, y, x), loss in terms.style.items() if y or x]
        style = 5e3 * (sum(same) / len(same) + sum(apart) / len(apart))
        return torch.stack([0 * terms.tv, style, 1e3 * terms.tv])


# %% [markdown]
# Which shifts? As a first try we take powers of two. One step in `relu3_1` is four pixels, so 1, 2, 4, 8 and 16 are
# shifts of 4 to 64 pixels. A shift must stay well inside the map, so `fitting` drops those that are too large.
#
# **Predict.** How high will the order of the wall be with these shifts? 1 is a perfect grid.

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_wall = ...  # a number
guess_wall = 0.7
# END SOLUTION


# %%
def both_ways(layer, distances):
    """Shifts (layer, down, right) of a layer, downwards and to the right."""
    return [(layer, d, 0) for d in distances] + [(layer, 0, d) for d in distances]


def fitting(shifts, source):
    stride = {"relu1_1": 1, "relu2_1": 2, "relu3_1": 4, "relu4_1": 8, "relu5_1": 16}
    return [(layer, y, x) for layer, y, x in shifts if max(y, x) * stride[layer] <= source.shape[2] // 3]


def paint_shifted(source, shifts, init=None):
    start = torch.rand(source.shape, generator=torch.Generator().manual_seed(0)) if init is None else init
    return nstlib.synthesize(ShiftObjective(source, shifts), start.to(features.device), steps=steps).image.cpu()


# %%
powers = [1, 2, 4, 8, 16]
wanted = both_ways("relu2_1", powers) + both_ways("relu3_1", powers)
cures = {
    "Gram matrices": plain,
    "shifted": {name: paint_shifted(grid, fitting(wanted, grid)) for name, grid in grids.items()},
}
orders["shifted"] = {name: solved.order(picture, periods[name]) for name, picture in cures["shifted"].items()}
titles = {name: f"{name}, order {orders['shifted'][name]:.2f}" for name in grids}
slide({title: cures["shifted"][name] for name, title in titles.items()}, "with shifts", side=384)

# %%
check.prediction("order of the wall with shifts", guess_wall, orders["shifted"]["wall"])

# %% tags=["test"]
claims.shifts_restore_the_wall_and_not_the_board(orders, scale)

# %% [markdown]
# With shifts the wall has about half the order of a perfect grid: most courses are level, and most bricks have the
# right length. The board has gained nothing. Its fields are wide, and from noise the optimization ends in a patchwork
# of parts that do not fit together.
#
# ## 8 · Coarse to fine
#
# The second remedy needs no new loss. We synthesize at a quarter of the size, where a period of the board
# is short; enlarge the result and use it as the *start* at half the size; and again at full size.


# %%
def coarse_to_fine(source, paint):
    picture = None
    for part in (4, 2, 1):
        size = (source.shape[2] // part, source.shape[3] // part)
        picture = paint(resize(source, size), None if picture is None else resize(picture, size))
    return picture


def with_grams(source, init=None):
    return texture(source, steps=steps, features=features, init="noise" if init is None else init).image.cpu()


def with_shifts(source, init=None):
    return paint_shifted(source, fitting(wanted, source), init)


# %% [markdown]
# **Predict.** The board kept no order with Gram matrices and none with shifts either. Which remedy gives it the highest
# order?
#
# - `"a"` coarse to fine with Gram matrices
# - `"b"` coarse to fine with shifted Gram matrices
# - `"c"` both the same

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_cure = ...  # "a", "b" or "c"
guess_cure = "b"
# END SOLUTION

# %%
for cure, paint in {"coarse to fine": with_grams, "both": with_shifts}.items():
    cures[cure] = {"board": coarse_to_fine(grids["board"], paint)}
    orders[cure] = {"board": solved.order(cures[cure]["board"], periods["board"])}

# %%
show(
    {f"{cure}: {orders[cure]['board']:.2f}": cures[cure]["board"] for cure in ("shifted", "coarse to fine", "both")},
    caption="The number is the order of the board: a perfect grid has 1",
)

# %%
check.choice("order of the board", guess_cure)

# %% tags=["test"]
claims.both_remedies_together_restore_most_order(orders, scale)

# %% [markdown]
# Coarse to fine alone gives the board hardly any order, because nothing keeps the grid while the picture grows. Shifts
# alone do not find it from noise. Together they restore more than half of it: at the small size the period fits into
# the receptive fields, so the grid is found there, and the shifted matrices keep it at the larger sizes. The result is
# not perfect: some fields have colors that the board does not contain.
#
# ## 9 · Choose the shifts
#
# Powers of two ignore what we know about the board: its fields have a side of `field` pixels and its period is
# `2 * field`.
#
# **Exercise.** Choose shifts that suit the board, and synthesize it from noise **at once**, without coarse to fine.
# Write your shifts as `both_ways(layer, distances)`. One step is 1 pixel in `relu1_1`, 2 in `relu2_1`, 4 in `relu3_1`
# and 8 in `relu4_1`. Predict the order first. Try several layers: is the deepest the best?

# %% tags=["exercise"]
# SOLUTION
# STUDENT: my_shifts = ...  # for example both_ways("relu2_1", [1, 2, 3])
# STUDENT: guess_mine = ...  # the order that you expect
my_shifts = both_ways("relu3_1", [k * field // 4 for k in (1, 2, 3, 4)])  # 1 to 4 fields
guess_mine = 0.3
# END SOLUTION

# %%
is_done = isinstance(my_shifts, list)
my_board = paint_shifted(grids["board"], my_shifts) if is_done else cures["shifted"]["board"]
reached = solved.order(my_board, periods["board"])
check.prediction("order with my shifts", guess_mine if is_done else ..., reached)

# %%
old = orders["shifted"]["board"]
slide(
    {f"powers of two, order {old:.2f}": cures["shifted"]["board"], f"mine, order {reached:.2f}": my_board},
    "shifts",
    side=320,
)

# %% tags=["test"]
claims.chosen_shifts_give_the_board_more_order(reached, old, scale)

# %% [markdown]
# Our choice is shifts by one, two, three and four fields in `relu3_1`. They give the board some order from noise, which
# powers of two did not, but the picture is still far from a board. Knowing the distance helps; a good start helps more.

# %% [markdown]
# ## 10 · Which optimizer?
#
# Report 002 changes the pixels by the sign of the gradient, $g' = g - \epsilon\, \mathrm{sgn}(\partial L / \partial
# g)$: all pixels move by the same amount. You used Adam, and the library uses L-BFGS, which estimates the curvature of
# the loss. A comparison is fair only if each method has a good step size, so we try several for each. To save time we
# use a painting of half the size.
#
# **Predict.** Each with its best step size out of four, which has the lowest loss after the last evaluation?
#
# - `"a"` L-BFGS
# - `"b"` Adam
# - `"c"` the sign of the gradient

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_optimizer = ...  # "a", "b" or "c"
guess_optimizer = "a"
# END SOLUTION

# %%
small = resize(painting, (high // 2, wide // 2))
small_noise = torch.rand(small.shape, generator=torch.Generator().manual_seed(0))
rates = {"adam": [0.02, 0.04, 0.08, 0.16], "sign": [0.005, 0.01, 0.02, 0.04], "lbfgs": [1.0]}
tried = {
    (name, rate): texture(
        small, steps=profile.steps, init=small_noise, features=features, optimizer=name, learning_rate=rate
    ).records
    for name, values in rates.items()
    for rate in values
}

# %%
solved.rates_figure(tried)

# %%
check.choice("the best optimizer", guess_optimizer)

# %% tags=["test"]
lowest = {key: min(record.total for record in records) for key, records in tried.items()}
claims.the_best_rate_of_adam_comes_near_lbfgs_and_the_sign_does_not(lowest, scale)

# %%
best = {name: min((min(r.total for r in tried[name, rate]), rate) for rate in values) for name, values in rates.items()}
Table(
    ["optimizer", "best rate of those tried", "lowest loss"],
    [[name, f"{rate:g}", f"{loss:.1f}"] for name, (loss, rate) in best.items()],
)

# %% [markdown]
# L-BFGS needs no tuning here and has the lowest loss after 120 evaluations. Adam comes within a factor of two of it
# with a rate of 0.04 to 0.16; with 0.02, the library's default, its loss is more than twice that of L-BFGS. So an
# untuned comparison would have been unfair to Adam. Sign descent stays above three times the loss of L-BFGS at each of
# the four rates. With a constant rate it cannot settle: every pixel moves by the full step in each evaluation, so a
# large rate ends in jumps and a small one is slow. A rate that falls to zero is a fair next trial (a project for you).
#
# ## 11 · What the reports found
#
# | what report 002 says (its section 3.2, figure 2) | what we found | section |
# |---|---|---|
# | "the same algorithm can be used for texture synthesis" | confirmed: the loop of lesson 02 needs only another loss | 1 |
# | a "blank image with noise" in place of the content | the noise is needed: a blank start gets a frame | 5 |
# | an image "with minor content" | without a content loss there is no content; a star in the result comes from the painting's style | 1 |
# | the style loss with plain sums and the factor $1 / (4 N^2 M^2)$ | the same as with means while both pictures have one size; otherwise each sum must be divided by its own $M$ | 3 |
# | Gram matrices capture "the texture information but not the global arrangement" | confirmed at 256 pixels; for a picture of 32 pixels, where the matrices have more numbers than the picture, a part of the arrangement returns | 1, 4, 6 |
# | pixels move by the sign of the gradient | it works, and with the best of four constant rates its loss stays above three times that of L-BFGS | 10 |
#
# The report shows one picture and no number, so we cannot compare numbers. Its reference 9 (Ulyanov and others,
# *Texture Networks*) trains a network that makes such textures in one forward pass; lesson 10 does it for style
# transfer.

# %% [markdown] tags=["solution-only"]
# ![Textures from noise with the real and with the compact VGG-19, of two paintings](../../docs/images/real_vgg19/D1_texture.jpg)
#
# This figure was made with layers of the real VGG-19, beside the same layers of the compact network. The two networks
# give textures of the same kind; the compact one's are grainier. The compact network was trained to imitate the real
# one up to conv3_4 only; its blocks 4 and 5 were trained on small pictures of 202 classes and differ from VGG's.

# %% [markdown]
# ## What you can do now
#
# - You can write texture synthesis from an empty page: targets, loop, and a start with noise.
# - You can test a result for copied parts, with controls that show what the measure detects.
# - You can say what a Gram matrix loses, and add a term for structure at a known distance.
#
# ### Questions
#
# 1. Why may the texture have another size than the painting, and which line of `gram_matrix` makes it possible?
# 2. A friend shows that the nearest patches of a texture are not equal to it and concludes that nothing was copied.
#    What is missing in the argument?
# 3. Why does the board need coarse to fine in addition to shifted Gram matrices?

# %% [markdown] tags=["solution-only"]
# **Model answers.** 1. The Gram matrix is C x C for any height and width, and the division by the number of positions
# makes its entries means; means of pictures of different sizes can be compared. 2. Controls: the measure must find
# known copies (turned, mirrored, at any position), and the distance must be compared with that of two pictures without
# copies, such as two halves of the painting. 3. From noise, the optimization ends in a patchwork of small boards that
# do not fit together. At a quarter of the size a period is a few pixels and lies inside the receptive fields, so the
# grid is laid there; the shifted matrices keep it at the larger sizes.

# %% [markdown]
# ### Project: a texture of your own
#
# Photograph a material (wool, gravel, a brick wall, leaves), synthesize it at twice the size, and report what is right
# and what is not.
#
# | points | 0 | 1 | 2 |
# |---|---|---|---|
# | synthesis | no result | one result | two sizes, with the settings |
# | copying | not measured | distance measured | with controls and a level |
# | order | not discussed | described in words | measured, and shifts chosen for the material |
# | conclusion | missing | restates the pictures | names the condition under which it holds |
#
# ## Further reading
#
# - L. Gatys, A. Ecker, M. Bethge: [Texture Synthesis Using Convolutional Neural
#   Networks](https://arxiv.org/abs/1505.07376), NeurIPS 2015. The method of this lesson.
# - J. Portilla, E. Simoncelli: A Parametric Texture Model Based on Joint Statistics of Complex Wavelet Coefficients,
#   International Journal of Computer Vision 2000. The same idea before networks, with 710 numbers.
# - G. Berger, R. Memisevic: [Incorporating Long-Range Consistency in CNN-based Texture
#   Generation](https://arxiv.org/abs/1606.01286), ICLR 2017. Section 7.
# - O. Sendik, D. Cohen-Or: Deep Correlations for Texture Synthesis, ACM Transactions on Graphics 2017.
# - L. Gatys and others: [Controlling Perceptual Factors in Neural Style Transfer](https://arxiv.org/abs/1611.07865),
#   CVPR 2017. Coarse to fine.
# - E. Heitz and others: [A Sliced Wasserstein Loss for Neural Texture Synthesis](https://arxiv.org/abs/2006.07229),
#   CVPR 2021. What a mean of products leaves out.
# - I. Ustyuzhaninov and others: [Texture Synthesis Using Shallow Convolutional Networks with Random
#   Filters](https://arxiv.org/abs/1606.00021), 2016. Texture synthesis with a network that was never trained.
#
# **Previous:** [lesson 03, style reconstruction](03_style_reconstruction.ipynb). **Next:** [lesson 05, Gatys'
# transfer](05_gatys_transfer.ipynb), which combines the content loss of lesson 02 with the style loss.
