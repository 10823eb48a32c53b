# %% [markdown] tags=["title"]
# # 04 · Texture synthesis
#
# *Question*: Can numbers alone paint new brush strokes?
#
# *Time*: 50 minutes to read and try; two minutes of computing on a laptop without a GPU.
#
# Lesson 03 ended with Gram matrices: five tables of numbers that say which features of a painting occur together, and
# not where. Here we throw the painting away and keep only the tables. Out of noise they paint a picture that nobody has
# painted: new strokes, new stars, at any size you like. Then we look for what they cannot do, and repair a part of it.

# %%
import torch
import torch.nn.functional as F

from nstlib import VGGFeatures, get_preset, gram_matrix, resize, style_loss, synthesize, texture, total_variation
from nstlib.course import check, exercises, figures, profile_for, show
from nstlib.course.anatomy import Table, heatmap, panels
from nstlib.course.widgets import slider_over
from nstlib.data import gallery
from nstlib.objective import Terms
from nstlib.runtime import pick_device

profile = profile_for("04_texture_synthesis")
features = VGGFeatures(pooling="avg", device=pick_device())  # one network for all that follows
LAYERS = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
profile

# %% [markdown]
# ## 1 · A painting goes in, noise comes with it
#
# Report 002 did this with Van Gogh's *Starry Night*. Here a night of our own stands in: stars and a moon above, a town
# in the middle, lamps mirrored in the water below. If you run this with the ImageNet weights (profile `gpu`), the line
# below fetches the real one.

# %%
painting = gallery.style("nocturne", profile.size)
if features.weights_name == "imagenet":  # "if True:" fetches Starry Night here, too (0.6 MB, once)
    try:
        painting = gallery.painting("starry_night", profile.size)
    except gallery.GalleryError as error:
        print(error)
high, wide = painting.shape[2:]
noise = torch.rand((1, 3, high, wide), generator=torch.Generator().manual_seed(0))
show({"the painting": painting, "noise": noise}, width=4)

# %% [markdown]
# **Guess first.** We change the noise until its five Gram matrices are those of the painting. Nothing else is asked of
# it. What will be there?
#
# - `"a"` the painting again, a little blurred
# - `"b"` strokes, stars and lamps, but new ones, in other places
# - `"c"` its colours in a soft haze

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess = ...  # "a", "b" or "c"
guess = "b"
# END SOLUTION

# %%
moments = {}
keep_at = {profile.steps // 20, profile.steps // 10, profile.steps // 5, profile.steps}


def keep(record):
    if record.step in keep_at:
        moments[record.step] = record.image


result = texture(painting, steps=profile.steps, init=noise, features=features, callback=keep)
show({"the painting": painting, "from noise, by its Gram matrices": result.image}, width=7)

# %%
check.choice(
    "what comes out of noise",
    guess,
    correct="b",
    explain={
        "a": "find the horizon of the painting in the right picture.",
        "b": "Everything has the right look and nothing is in its place.",
        "c": "more than colour has come: follow a stroke with your finger.",
    },
)

# %% tags=["test"]
assert result.stopped == "finished"
assert result.best.total < 0.05 * result.records[0].total
assert result.image.shape == painting.shape

# %% [markdown]
# Look closely. The strokes flow, the stars glow, the lamps hang in rows as if mirrored. But there is no sky above and
# no water below, no horizon and no town: **what goes together is kept, where it was is lost.** That is what the field
# calls a *texture*.

# %% [markdown]
# ## 2 · Watch it appear

# %%
show(list(moments.values()), [f"step {step}" for step in moments], width=5.8)

# %% [markdown]
# What is it that falls? For each of the five layers the distance of two Gram matrices,
#
# $$L_l \;=\; \frac{\sum_{ij} \left(G^l_{ij} - A^l_{ij}\right)^2}{\sum_{ij} \left(A^l_{ij}\right)^2},
# \qquad G^l_{ij} = \frac{1}{M_l} \sum_{k=1}^{M_l} F^l_{ik} F^l_{jk}$$
#
# $G$ is `gram_matrix(maps)`, with the number of positions $M_l$ as its divisor, $A$ the same of the painting, and $L_l$
# is `style_loss(G, A, "relative")`. There is no content in it: `texture` gives `None` where `transfer` gives a photo.

# %%
figure, (ax,) = panels(1, 8, 3)
for colour, layer in zip(figures.COLOURS, LAYERS):
    ax.plot([r.step for r in result.records], [r.style[layer] for r in result.records], label=layer, color=colour)
ax.set(yscale="log", xlabel="step", ylabel="relative loss")
ax.set_title("how far each Gram matrix still is from the painting's", loc="left")
ax.legend(loc="upper right", ncols=2)
figure

# %% [markdown]
# All five fall together, a thousandfold and more, and none reaches zero. No picture of ours meets all the
# numbers exactly; but long before the end your eyes stop caring.
#
# It is not a property of night skies:

# %%
names = [
    n for n in ("golden", "stained_glass", "waves", "autumn", "cubist", "pointillist") if n in gallery.style_names()
]
names = names[: profile.images]
sources = {n: gallery.style(n, profile.size) for n in names}
painted = {n: texture(s, steps=profile.steps, features=features).image for n, s in sources.items()}
show(
    [*sources.values(), *painted.values()],
    [n.replace("_", " ") for n in names] + ["its texture"] * len(names),
    columns=len(names),
    width=5.2,
)

# %% [markdown]
# The sun of the waves is still a patch of orange, but the great wave is gone; the flowers of the glass have
# come apart, and the golden tree has become the ornaments it was made of. The larger a thing is, the less of it
# survives. We shall measure that.
#
# ### How many numbers?
#
# **Exercise.** "Numbers alone" paint here. How many are they? A Gram matrix of $C$ channels is $C \times C$, but
# $G_{ij} = G_{ji}$: count each pair $i \le j$ once, and add over the five layers. `features.channels(layer)` is $C$.

# %% tags=["exercise"]
# SOLUTION
# STUDENT: how_many = ...  # your code here
how_many = sum(features.channels(layer) * (features.channels(layer) + 1) // 2 for layer in LAYERS)
# END SOLUTION

# %%
counted = {layer: int(torch.ones(2 * [features.channels(layer)]).triu().sum()) for layer in LAYERS}
check.number(
    "how many numbers",
    how_many,
    sum(counted.values()),
    tolerance=0,
    hint=[
        "How many different entries has a symmetric table of 3 x 3? Count: 3 on the diagonal, 3 above it.",
        "In general: C on the diagonal and C (C - 1) / 2 above it.",
    ],
    why="That is all that we know of the painting.",
)

# %%
statistics = {
    "pixels of the painting, times 3": painting.numel(),
    f"its five Gram matrices, {features.weights_name} extractor": sum(counted.values()),
    "the same with the full VGG-19": sum(c * (c + 1) // 2 for c in (64, 128, 256, 512, 512)),
}
figures.bars({k: v / 1000 for k, v in statistics.items()}, "thousand", title="numbers")

# %% [markdown]
# The full VGG-19 takes *more* numbers than a picture of this size has. If it may say so much, could it not simply spell
# out the picture? Keep the question; section 5 answers it by measurement.
#
# ## 3 · At any size
#
# A Gram matrix has no height and no width. So the canvas may have any: half, double, a panorama. The strokes keep their
# size, there are only more of them.

# %%
sizes = {
    "half": (high // 2, wide // 2),
    "as the painting": (high, wide),
    "twice as wide": (high, 2 * wide),
    "four times the area": (2 * high, 2 * wide),
}
grown = {"as the painting": result.image}
for name, size in sizes.items():
    if name not in grown:
        grown[name] = texture(painting, size, steps=profile.steps, features=features).image
sheet = torch.ones(1, 3, 2 * high, 2 * wide)  # three of them on one sheet
gap = high // 40
for name, (y, x) in {"as the painting": (0, 0), "half": (0, wide + gap), "twice as wide": (high + gap, 0)}.items():
    h, w = sizes[name]
    sheet[:, :, y : y + h, x : x + w] = grown[name][:, :, : 2 * high - y]
caption = "all at the same scale"
show(
    [sheet, grown["four times the area"]],
    ["as large, a quarter, twice as wide", "four times the area"],
    width=8,
    caption=caption,
)

# %% [markdown]
# Slide over the sizes. All were computed above, so the slider answers at once. (The figure above is for those who read
# without a running kernel.)


# %%
def on_paper(picture):
    """The picture in the upper left corner of a sheet that is as large as the largest."""
    down, right = 2 * high - picture.shape[2], 2 * wide - picture.shape[3]
    return F.pad(picture, (0, right, 0, down), value=0.96)


sheets = {"the painting itself": on_paper(painting), **{name: on_paper(grown[name]) for name in sizes}}
slider_over(list(sheets.values()), list(sheets), "size", side=min(512, 2 * wide))

# %% [markdown]
# Why may the sizes differ at all? Because of one division. `gram_matrix` **divides by the number of positions**: an
# entry is the *mean* of a product over the picture, and a mean does not care how many there were. Gatys' equation,
# and report 002's, has the plain sum $\sum_k F_{ik} F_{jk}$.
#
# **Exercise.** Take the sum (`divisor="none"`). The canvas is twice as high *and* twice as wide as the painting, and
# filled with the very same texture. How many times as large as the painting's are the entries of its Gram matrix?

# %% tags=["exercise"]
# SOLUTION
# STUDENT: times_as_large = ...  # a number
times_as_large = 2 * 2
# END SOLUTION

# %%
with torch.no_grad():
    tiled = painting.repeat(1, 1, 2, 2).to(features.device)
    sums = [gram_matrix(features(p, ["relu1_1"])["relu1_1"], "none") for p in (tiled, tiled[:, :, :high, :wide])]
check.number(
    "the sum over a larger canvas",
    times_as_large,
    round((sums[0].norm() / sums[1].norm()).item()),
    tolerance=0.01,
    hint=["A sum over more positions grows with their number.", "How many paintings fit on the canvas?"],
    why="So a canvas that matched the sums would have to be weaker everywhere: by what factor?",
)

# %% [markdown]
# Entries are products of two features. To make a sum over twice as many positions come out the same, each feature must
# be weaker by $\sqrt{2}$. **Guess** what a picture looks like whose features are all 29 % too weak; then see. We paint
# the picture that is twice as wide once more, with sums in place of means.

# %%
sums = get_preset("course").replace(gram_divisor="none")
summed = texture(painting, sizes["twice as wide"], sums, steps=profile.steps, features=features).image
show({"means: divided by the positions": grown["twice as wide"], "sums": summed}, width=7.2)


# %%
def strength(picture, layer):
    """The root of the mean square of all activations of a layer."""
    with torch.no_grad():
        return features(picture.to(features.device), [layer])[layer].float().square().mean().sqrt().item()


weaker = {layer: strength(summed, layer) / strength(painting, layer) for layer in LAYERS}
kept = {layer: strength(grown["twice as wide"], layer) / strength(painting, layer) for layer in LAYERS}
figure, (ax,) = panels(1, 7.6, 2.5)
ax.plot(LAYERS, list(kept.values()), "o-", color=figures.COLOURS[0], label="means")
ax.plot(LAYERS, list(weaker.values()), "s-", color=figures.COLOURS[1], label="sums")
ax.axhline(0.5**0.5, color=figures.COLOURS[5], ls=":", label="predicted: one over the root of 2")
ax.set(ylim=(0.5, 1.15))
ax.set_title("strength of the features on the wide canvas, over the painting's", loc="left")
ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
figure

# %% tags=["test"]
for layer in LAYERS[:3]:
    assert abs(kept[layer] - 1) < 0.1, kept
    assert abs(weaker[layer] - 0.5**0.5) < 0.1, weaker
assert grown["four times the area"].shape[2:] == (2 * high, 2 * wide)
assert sheets["half"].shape == sheets["as the painting"].shape == (1, 3, 2 * high, 2 * wide)

# %% [markdown]
# The prediction holds, layer by layer. And the picture? To the network a certain grey is zero, for its preprocessing
# subtracts the mean of many photos. Weaker features are to be had where the picture comes near that grey; so it covers
# a part of the canvas with grey scales and paints the rest. Nothing crashes, and the loss goes down as it should, which
# is why this bug lives long (lesson 09 has it, too). With
# sums, both pictures must have the same size; reports 000 and 001 force one size on both.
#
# ## 4 · What the deep layers add
#
# Same noise, same painting, but only the first one, two, ... of the five layers. How far does one number of each layer
# see? Its *receptive field* (lesson 01): 3 pixels, 10, 24, 68 and 156.
#
# **Guess first**: from how many layers on are the short dabs joined to strokes that flow, and curve, as the painter's?
#
# - `"a"` one is enough
# - `"b"` with three: when a number sees 24 pixels, more than a stroke is wide
# - `"c"` only with all five

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_depth = ...  # "a", "b" or "c"
guess_depth = "b"
# END SOLUTION

# %%
fields = {"relu1_1": 3, "relu2_1": 10, "relu3_1": 24, "relu4_1": 68, "relu5_1": 156}
grades = {}
for count in range(1, 5):
    layers = dict.fromkeys(LAYERS[:count], 1 / count)
    run = texture(painting, steps=profile.steps, init=noise, features=features, style_layers=layers)
    grades[f"to {LAYERS[count - 1]}: {list(fields.values())[count - 1]} pixels"] = run.image
grades["to relu5_1: 156 pixels"] = result.image
show({"the painting": painting, **grades}, columns=3, width=6)

# %%
check.choice(
    "how many layers for a stroke",
    guess_depth,
    correct="b",
    explain={
        "a": "the first picture has the right colours, in specks of a few pixels.",
        "b": "Then the fourth layer bends them into swirls and sets the stars.",
        "c": "look at the third picture: the strokes flow already.",
    },
)

# %% [markdown]
# One layer gives coloured specks; two, dabs; three, strokes; four, stars and swirls; the fifth changes little more.
# Now the same in numbers. We measure each picture at **all** five layers, also at those that it was not asked to match:


# %%
def gram_distances(picture):
    """The relative distance of the Gram matrices from the painting's, at each of the five layers."""
    with torch.no_grad():
        seen, target = (features(p.to(features.device), LAYERS) for p in (picture, painting))
    return [style_loss(gram_matrix(seen[n]), gram_matrix(target[n]), "relative").item() for n in LAYERS]


distances = {name: gram_distances(picture) for name, picture in grades.items()}
figure, (ax,) = panels(1, 7.6, 2.9)
for colour, mark, (name, values) in zip(figures.COLOURS, "osD^v", distances.items()):
    ax.plot(LAYERS, values, color=colour, marker=mark, ms=5, label=name)
ax.set(yscale="log", ylabel="relative distance")
ax.set_title("measured at all layers: what was not asked for is not there", loc="left")
ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
figure

# %% [markdown]
# Each line is low as far as its layers go, and rises behind them: a picture matches what it was asked for, and no more.
#
# One measure more, which knows nothing of networks. How alike is a picture to itself, moved by a few pixels? This is
# its **autocorrelation**: 1 when moved by nothing, 0 when one place no longer tells anything about the other. The
# Fourier transform finds it for all moves at once.


# %%
def autocorrelation(picture):
    """Entry (y, x): how alike the brightness is y pixels down and x to the right, from 1 (the same) to 0."""
    grey = picture.float().mean((0, 1))
    grey = grey - grey.mean()
    h, w = grey.shape

    def pairs(a):  # sums over all pairs; the zeros around it keep the border from wrapping round
        return torch.fft.irfft2(torch.fft.rfft2(a, s=(2 * h, 2 * w)).abs() ** 2, s=(2 * h, 2 * w))

    products = pairs(grey) / pairs(torch.ones_like(grey)).clamp_min(1)
    return (products / products[0, 0])[: h // 2 + 1, : w // 2 + 1]


def reach(picture, longest=min(40, high // 2)):
    """The same for moves to the right and down, averaged, up to ``longest`` pixels."""
    table = autocorrelation(picture)
    return ((table[0, : longest + 1] + table[: longest + 1, 0]) / 2).tolist()


figure, (ax,) = panels(1, 7.6, 2.9)
for colour, (name, picture) in zip(figures.COLOURS, grades.items()):
    ax.plot(reach(picture), color=colour, label=name)
ax.plot(reach(painting), color=figures.INK, lw=2.8, ls="--", label="the painting")
ax.set(xlabel="moved by so many pixels", ylabel="alike", ylim=(-0.15, 1.02))
ax.set_title("how far one place tells of another", loc="left")
ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
figure

# %% tags=["test"]
asked = {count: values for count, values in enumerate(distances.values(), start=1)}
for count in range(1, 5):  # the first layer that was not asked for is worse than the last that was
    assert asked[count][count] > 2 * asked[count + 1][count], asked
assert sum(reach(painting)) > sum(reach(result.image))
assert abs(autocorrelation(painting)[0, 0].item() - 1) < 1e-5

# %% [markdown]
# Two things that you might not have expected. **First**: from two layers on, the curves hardly differ, and yet the eye
# tells the pictures apart at once. Autocorrelation knows how *large* the patches of light and dark are; whether they
# are dabs or strokes that curve, it does not know. Size comes from the first two layers, shape from the next two.
#
# **Second**: no curve reaches as far as the dashed one. The painting has a bright sky above dark water, an order over
# its whole height. After a dozen pixels our pictures know nothing any more, though the deepest layer sees 156: a field
# is the most that *can* be seen, its middle counts most, and `relu5_1` speaks of shapes more than of light. *What is
# much wider than the fields of the layers does not survive.*
#
# ## 5 · Is it a copy?
#
# So many numbers: perhaps the method has only cut up the painting and moved the pieces? Three pieces of evidence.
#
# **First**: another seed gives another picture, with the same Gram matrices.

# %%
again = texture(painting, steps=profile.steps, seed=1, features=features)
show({"seed 0": result.image, "seed 1": again.image}, width=4.2)


# %%
def correlation(a, b):
    a, b = ((p - p.mean()).flatten() for p in (a.mean(1), b.mean(1)))
    return F.cosine_similarity(a, b, dim=0).item()


print(f"correlation of the two pictures, pixel by pixel: {correlation(result.image, again.image):+.2f}")
print(f"relative distance of their Gram matrices from the painting's: {result.best.style_total / 1e4:.2%}", end=" and ")
print(f"{again.best.style_total / 1e4:.2%}")

# %% [markdown]
# **Second**: for a piece of our picture, look for the piece of the painting that is nearest to it, among *all* places.
# A convolution with the piece as its kernel compares it with all of them at once, for
# $\lVert a - b \rVert^2 = \lVert a \rVert^2 - 2\, a \cdot b + \lVert b \rVert^2$.


# %%
def nearest(picture, source, side, count=48):
    """Square pieces of a picture; for each the nearest in the source, and how far (1: as far as two random pieces)."""
    generator = torch.Generator().manual_seed(0)
    corners = [[int(torch.randint(s - side + 1, (1,), generator=generator)) for s in picture.shape[2:]]
               for _ in range(count)]  # fmt: skip
    pieces = torch.cat([picture[:, :, y : y + side, x : x + side] for y, x in corners])
    squares = F.conv2d(source.square(), torch.ones(1, 3, side, side))
    apart = pieces.square().sum((1, 2, 3)).view(-1, 1, 1) - 2 * F.conv2d(source, pieces)[0] + squares[0]
    closest, place = apart.flatten(1).min(1)
    rows, columns = place // apart.shape[2], place % apart.shape[2]
    found = [source[:, :, y : y + side, x : x + side] for y, x in zip(rows.tolist(), columns.tolist())]
    return pieces, found, (closest.clamp_min(0).mean() / apart.mean()).sqrt().item()


side = profile.size // 8
pieces, found, _ = nearest(result.image, painting, side, count=7)
show([*pieces.split(1), *found], ["piece"] * 7 + ["nearest"] * 7, columns=7, width=6.6)

# %% [markdown]
# In the upper row pieces of our picture, below each the nearest that the painting has. The colours agree, the strokes
# do not. How near is near? We need things to compare with: a real **cut-up** of the painting (its four quarters,
# exchanged), and the painting's **own right half** searched in its left half, which the same painter painted anew.

# %%
sides = [3, 5, 9, 15, 23, 31] if profile.size < 200 else [3, 5, 9, 15, 23, 31, 47]
halves = painting.split(wide // 2, dim=3)
searches = {
    "cut up and exchanged": (painting.roll((high // 2, wide // 2), (2, 3)), painting),
    "the texture": (result.image, painting),
    "right half, searched in the left": (halves[1], halves[0]),
    "noise": (noise, painting),
}
near = {name: [nearest(*pair, s)[2] for s in sides] for name, pair in searches.items()}
figure, (ax,) = panels(1, 7.6, 2.9)
for colour, mark, (name, values) in zip(figures.COLOURS, "osD^", near.items()):
    ax.plot(sides, values, color=colour, marker=mark, ms=5, label=name)
ax.set(xlabel="side of the piece, pixels", ylabel="distance", ylim=(-0.03, 1.05))
ax.set_title("distance of a piece to the nearest in the painting (1: any two pieces)", loc="left")
ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
figure

# %% tags=["test"]
copy, ours, half = (near[name] for name in list(near)[:3])
assert copy[2] < 0.6 * ours[2]  # a real cut-up is found out
assert ours[2] > 0.5 * half[2]  # ours is as far from the painting as the painting is from itself
assert ours == sorted(ours)
assert abs(correlation(result.image, again.image)) < 0.5
assert result.best.style_total / 1e4 < 0.05

# %% [markdown]
# The cut-up lies at the bottom (it is not zero, for some pieces contain a cut). Our texture runs where the painting's
# own right half runs: **as new as if the painter had painted a little more of it.** Small pieces are always near, and
# must be: every stroke of three pixels has been painted before.
#
# **Third**, a caution. This is measured, not a law. A source of few pixels, many channels, a *tiny* canvas: then there
# are more equations than unknowns, and pieces do come back. If it matters to you (a living artist's work, say),
# measure; you have the function now.
#
# ## 6 · Why noise?
#
# Report 002 begins from "a blank image with noise". Does it take the noise? Try a blank image without.
#
# **Guess first**: one start without noise, one too dark, one too pale, one as above. Which of them goes wrong?

# %%
mean = painting.mean((2, 3), keepdim=True)
starts = {
    "no noise: grey": torch.full_like(noise, 0.5),
    "dark noise": 0.2 * noise,
    "right mean, quiet noise": (mean + 0.1 * (noise - 0.5)).clamp(0, 1),
}
moments = {}
started = {}
for name, start in starts.items():
    watch = keep if "grey" in name else None  # puts the pictures on the way aside, as in section 1
    started[name] = texture(painting, steps=profile.steps, init=start, features=features, callback=watch)
started["full noise"] = result
show([r.image for r in started.values()], list(started), columns=4, width=7.4)

# %% [markdown]
# Too dark and too pale are no problem. But the first has a picture frame! Here is how it came about:

# %%
show(list(moments.values())[:3], [f"no noise, step {step}" for step in moments][:3], width=5.2)

# %% [markdown]
# In a blank image every place is like every other, so each pixel gets the same gradient and moves in the same way.
# *Nothing says where a star should be.* Only the border is special, for there the convolution sees the zeros of its
# padding; and so the strokes grow from the border inwards. Do not believe it, measure it: how differently from the
# pixel in the middle is each pixel pushed, at the very first step? (For the first three layers, which see 24 pixels.)


# %%
def first_push(start):
    """The first gradient at each pixel: its distance from that in the middle, over the middle's own size."""
    picture = start.to(features.device).requires_grad_()
    seen, target = (features(p, LAYERS[:3]) for p in (picture, painting.to(picture.device)))
    loss = sum(style_loss(gram_matrix(seen[n]), gram_matrix(target[n]), "relative") for n in LAYERS[:3])
    (push,) = torch.autograd.grad(loss.sum(), picture)
    centre = push[:, :, high // 2, wide // 2, None, None]
    return ((push - centre).norm(dim=1) / push.norm(dim=1).mean())[0].cpu()


pushes = {"no noise: grey": first_push(starts["no noise: grey"]), "noise": first_push(noise)}
show({name: heatmap(push, 300, vmax=2.0) for name, push in pushes.items()}, width=3.9)

# %% tags=["test"]
inside = {name: push[20:-20, 20:-20] for name, push in pushes.items()}
assert inside["no noise: grey"].max() < 0.01 * pushes["no noise: grey"].max()
assert inside["noise"].mean() > 0.2

# %% [markdown]
# Black means: pushed exactly as the middle. The noise is no decoration: **it makes the places different from each
# other.** How much of it, and around which colour, hardly matters:

# %%
rows = []
for name, run in started.items():
    soon = run.records[max(profile.steps // 10, 1) - 1].total
    rows.append([name, f"{run.records[0].total:,.0f}", f"{soon:,.1f}", f"{run.best.total:,.2f}"])
Table(["start", "loss at the start", f"after {profile.steps // 10} steps", f"after {profile.steps}"], rows)

# %% [markdown]
# A start with the painting's mean colour is ahead for the first steps, since it need not first travel there; at the end
# it makes no difference. The right mean saves time, noise saves the picture.
#
# ## 7 · Where it fails
#
# The painter's order was lost, and hardly anybody misses it. There are pictures that *consist* of order. Two of them,
# made in a few lines:


# %%
def bricks(n, high=16, wide=32, joint=3):
    y, x = torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij")
    course = y // high
    x = x + wide // 2 * (course % 2)  # every second course is moved by half a brick
    tone = torch.rand((n // high + 1, n // wide + 2), generator=torch.Generator().manual_seed(0))
    clay = torch.tensor([0.62, 0.27, 0.20]).view(3, 1, 1) * (0.75 + 0.45 * tone[course, x // wide])
    mortar = torch.tensor([0.85, 0.82, 0.76]).view(3, 1, 1)
    return torch.where((y % high < joint) | (x % wide < joint), mortar, clay)[None]


def board(n, field):
    y, x = torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij")
    light, dark = (torch.tensor(c).view(3, 1, 1) for c in ([0.95, 0.90, 0.78], [0.12, 0.25, 0.40]))
    return torch.where((y // field + x // field) % 2 == 1, light, dark)[None]


n = max(96, profile.size * 3 // 4)  # 192 with the profile cpu
field = 24 if n >= 192 else 12
grids = {"bricks": bricks(n), "board": board(n, field)}
periods = {"bricks": 32, "board": 2 * field}  # after so many pixels, down or to the right, it repeats
steps = max(profile.steps, 60)
plain = {name: texture(grid, steps=steps, features=features).image for name, grid in grids.items()}
pairs = [picture for name in grids for picture in (grids[name], plain[name])]
show(pairs, ["a wall", "its texture", "a board", "its texture"], columns=4, width=6)

# %% [markdown]
# Every stone is a stone, and the mortar is laid with care. But the bricklayer cannot see the wall. How much of the grid
# is left? Move the picture by one period: a grid lies on itself again (1), a jumble does not (0).


# %%
def order(picture, period):
    """What is left of a grid: autocorrelation one period to the right and one period down, the mean of both."""
    table = autocorrelation(picture)
    return round(((table[0, period] + table[period, 0]) / 2).item(), 2) + 0.0  # + 0.0: never "-0.00"


figure, axes = panels(2, 8.6, 2.6, sharey=True)
for ax, name in zip(axes, grids):
    table = {"the source": grids[name], "from its Gram matrices": plain[name]}
    for colour, (label, picture) in zip((figures.INK, figures.COLOURS[1]), table.items()):
        ax.plot(autocorrelation(picture)[0], color=colour, label=label)
    ax.axvline(periods[name], color=figures.COLOURS[5], ls=":")
    ax.set(xlabel="moved to the right, pixels", xlim=(0, n // 2))
    ax.set_title(f"{name}: order {order(grids[name], periods[name]):.2f}, then {order(plain[name], periods[name]):.2f}")
axes[0].legend(loc="lower left")
axes[0].set_ylabel("autocorrelation")
figure

# %% tags=["test"]
for name, grid in grids.items():
    assert order(grid, periods[name]) > 0.85
    assert order(plain[name], periods[name]) < 0.5 * order(grid, periods[name])

# %% [markdown]
# Two reasons. A Gram matrix compares features **at the same place**; that there was mortar *here* tells it nothing
# about *there*. And what a single feature sees ends with its field. Mirror symmetry, rows, perspective, text: all fail alike.
#
# What the field did about it:
#
# | idea | who | what it adds |
# |---|---|---|
# | shifted Gram matrices | Berger & Memisevic 2017 | products of features at places that are a fixed distance apart |
# | deep correlations | Sendik & Cohen-Or 2017 | the autocorrelation of each feature map |
# | spectrum | Liu, Gousseau & Xia 2016 | the Fourier spectrum of the source |
# | coarse to fine | Gatys 2017; Snelgrove 2017 | small first, so that a period fits into the field |
# | whole distributions | Risser 2017; Heitz 2021 | histograms, or sliced Wasserstein distance, in place of the mean of products |
#
# The first four rows are about *where*. The last is another repair: the mean of products is not all that can be said about
# the features of one place. It makes colours and contrasts truer, and by itself it knows nothing of distances.
#
# ## 8 · A cure in ten lines
#
# Berger and Memisevic's change is small: take channel $i$ at a place $k$ and channel $j$ a shift $\delta$ further,
#
# $$G^{\delta}_{ij} \;=\; \frac{1}{|K|} \sum_{k \in K} F_{i,\,k}\, F_{j,\,k+\delta}$$
#
# where $K$ are the places for which $k + \delta$ is still in the picture. For $\delta = 0$ it is the Gram matrix.
#
# **Exercise.** Write it, for `features` of shape (N, C, H, W) and a shift of `down` rows and `right` columns (both 0 or
# more). The answer has the shape (N, C, C). *Stuck?* `check.hint("shifted_gram")`.


# %% tags=["exercise"]
def shifted_gram(features, down, right):
    # SOLUTION
    h, w = features.shape[2:]
    here, there = features[:, :, : h - down, : w - right], features[:, :, down:, right:]
    return here.flatten(2) @ there.flatten(2).transpose(1, 2) / ((h - down) * (w - right))
    # END SOLUTION


# %%
verdict = check.shifted_gram(shifted_gram)
shifted = shifted_gram if verdict.ok else exercises.shifted_gram  # until yours is right, the library's stands in
verdict

# %% [markdown]
# Now an objective that has them. `synthesize` needs two methods: `terms`, the losses by name (content, style and
# variation), and `weighted_terms`, their three weighted sums. Half of the weight stays with the plain Gram matrices.


# %%
class WithShifts:
    def __init__(self, source, shifts):
        self.keys = [(layer, 0, 0) for layer in LAYERS] + shifts
        with torch.no_grad():
            self.targets = self.grams(source.to(features.device))

    def grams(self, picture):
        maps = features(picture, [layer for layer, _, _ in self.keys])
        return {(layer, y, x): shifted(maps[layer].float(), y, x) for layer, y, x in self.keys}

    def terms(self, picture):
        losses = {key: style_loss(g, self.targets[key], "relative") for key, g in self.grams(picture).items()}
        return Terms({}, losses, total_variation(picture))

    def weighted_terms(self, terms):
        same = [loss for (_, y, x), loss in terms.style.items() if y == x == 0]
        apart = [loss for (_, y, x), loss in terms.style.items() if y or x]
        style = 5e3 * (sum(same) / len(same) + sum(apart) / len(apart))
        return torch.stack([0 * terms.tv, style, 1e3 * terms.tv])


def both_ways(layer, distances):
    """Shifts of a layer, downwards and to the right, for ``WithShifts``."""
    return [(layer, d, 0) for d in distances] + [(layer, 0, d) for d in distances]


def paint_shifted(source, shifts, init=None):
    noise = torch.rand(source.shape, generator=torch.Generator().manual_seed(0))
    init = noise if init is None else init
    return synthesize(WithShifts(source, shifts), init.to(features.device), steps=steps).image


# %% [markdown]
# Which shifts? Powers of two, as a start that fits any picture. At `relu3_1` one step is four pixels, so 1, 2, 4, 8, 16
# reach from 4 to 64. The second cure needs no new loss at all: **coarse to fine**. Paint the picture at a
# quarter of its size, where the board's period of 48 pixels is only 12; enlarge it; take it as the *start* at half size; and
# again. And the two can be combined.

# %%
powers = [1, 2, 4, 8, 16]
wanted = both_ways("relu2_1", powers) + both_ways("relu3_1", powers)


def coarse_to_fine(source, paint):
    picture = None
    for part in (4, 2, 1):
        size = (source.shape[2] // part, source.shape[3] // part)
        picture = paint(resize(source, size), None if picture is None else resize(picture, size))
    return picture


def paint_plain(source, init=None):
    return texture(source, steps=steps, features=features, init="noise" if init is None else init).image


def paint_fitting(source, init=None):  # a shift must stay well inside the map
    fitting = [(layer, y, x) for layer, y, x in wanted if max(y, x) * int(layer[4]) * 3 < source.shape[2]]
    return paint_shifted(source, fitting, init)


cures = {
    "Gram matrices": plain,
    "shifted": {name: paint_fitting(grid) for name, grid in grids.items()},
    "coarse to fine": {name: coarse_to_fine(grid, paint_plain) for name, grid in grids.items()},
    "both": {name: coarse_to_fine(grid, paint_fitting) for name, grid in grids.items()},
}
orders = {cure: {name: order(p, periods[name]) for name, p in pictures.items()} for cure, pictures in cures.items()}
pictures = [picture for name in grids for picture in (cures[c][name] for c in cures)]
titles = [t for name in grids for t in (f"{c}: {orders[c][name]:.2f}" for c in cures)]
show(pictures, titles, columns=4, width=6.6, caption="the number is the order that is left; 1 is the grid")

# %% tags=["test"]
for name in grids:
    assert orders["both"][name] > orders["Gram matrices"][name] + 0.2, orders
    assert orders["both"][name] > orders["coarse to fine"][name] - 0.05, orders
if steps >= 100:  # with fewer, the shifts alone have not yet done much
    assert orders["shifted"]["bricks"] > orders["Gram matrices"]["bricks"] + 0.2, orders

# %% [markdown]
# The wall gets most of its order back from the shifts alone. The board does not: its fields are wide, and from noise
# the descent finds many small wrong boards, each a valley from which no step leads out. Coarse to fine lays the large
# order while the picture is small and there are few wrong turns to take; but nothing holds the grid once the picture
# grows. **Together they nearly repair both**: the coarse stage finds the grid and the shifts hold it.
#
# Be honest about "nearly". There are still stones of the wrong width, and patches of a colour that no field has. A
# grid is one number, its period; no descent over a hundred thousand pixels will ever be as sure of it as one line of
# code.
#
# ## 9 · Your turn: choose the shifts
#
# **Open question.** Powers of two are a guess in the dark. You *know* the board: fields of 24 pixels, period 48 (`field` and `2 * field`). Choose
# shifts that suit it, and paint it from noise **at once, without coarse to fine**: can you reach an order of 0.2 where
# ours stayed near zero? Try `both_ways(layer, distances)` with a layer of your choice. One step is 1 pixel at
# `relu1_1`, 2 at `relu2_1`, 4 at `relu3_1`, 8 at `relu4_1`. Does the deepest layer win?

# %% tags=["exercise"]
# SOLUTION
# STUDENT: my_shifts = ...  # for example both_ways("relu2_1", [1, 2, 3])
my_shifts = both_ways("relu3_1", [k * field // 4 for k in (1, 2, 3, 4)])
# END SOLUTION

# %%
my_board = paint_shifted(grids["board"], my_shifts) if isinstance(my_shifts, list) else ...
goal = 0.2 if steps >= 100 else 0.1
reached = order(my_board, periods["board"]) if isinstance(my_shifts, list) else 0.0


def ordered(picture):
    return (
        True
        if reached > goal
        else f"its order is {reached:.2f}; more than {goal} is wanted. Think of the fields first."
    )


check.picture(
    "shifts for the board",
    my_board,
    shape=(n, n),
    test=ordered,
    hint=[
        "Which distances in pixels tell most about a board? Where the colours are opposite, and where the same again.",
        "Divide these distances by the step of a layer that sees an edge and still knows exactly where it is.",
        "Too many shifts share the weight among them: few good ones are better than many.",
    ],
    why="Knowledge about the problem beats a larger network.",
)

# %%
mine = my_board if isinstance(my_shifts, list) else plain["board"]
show(
    {"the board": grids["board"], "powers of two": cures["shifted"]["board"], f"your shifts: {reached:.2f}": mine},
    width=5.2,
)

# %% [markdown]
# And for the curious: take your `WithShifts` to the nocturne. Does its horizon come back? (Think first: which shift
# would have to know about it?)
#
# ## 10 · What the reports found
#
# Report 002 moves its pixels by the sign of the gradient, $g' = g - \epsilon\, \mathrm{sgn}(\partial L / \partial g)$,
# every pixel by the same amount. We use L-BFGS, which learns the curvature on its way. From the same noise:

# %%
signed = texture(painting, steps=profile.steps, init=noise, features=features, optimizer="sign")
figures.curve({"L-BFGS": result.records, "sign of the gradient (002)": signed.records}, "from the same noise", width=6)

# %%
show({"L-BFGS": result.image, "sign of the gradient": signed.image}, width=4.2)

# %% tags=["test"]
assert signed.best.total < 0.5 * signed.records[0].total  # it does work
assert result.best.total < signed.best.total

# %% [markdown]
# | what report 002 says (its section 3.2, figure 2) | what we found | where |
# |---|---|---|
# | "the same algorithm can be used for texture synthesis" | right: `transfer` and `texture` share every line but the start and the content | 1 |
# | a "blank image with noise" in place of the content | the noise is needed: a blank start grows a picture frame. What is left out is the content *loss*; the start is another matter | 6 |
# | "an image with minor content" | with no content loss there is none at all; what looks like a star is the style's own | 1, 4 |
# | the style difference, with plain sums in the Gram matrices and $1 / 4 N^2 M^2$ before them | right as long as both pictures have the same size; else each sum must be divided by its own $M$ | 3 |
# | Gram matrices capture "the texture information but not the global arrangement" | right, and now measured: what is wider than the deepest field is lost | 4, 7 |
# | pixels move by the sign of the gradient | works, and stays behind L-BFGS | 10 |
# | Starry Night | at the profile `gpu` with the real weights, here with a night of our own | 1 |
#
# The report shows one picture and no number, so there is none to compare. Its reference 9 (Ulyanov's *Texture
# networks*) is where the idea leads next: a network that paints such textures in one pass.
#
# ## Further reading
#
# - L. Gatys, A. Ecker, M. Bethge: [Texture Synthesis Using Convolutional Neural Networks](https://arxiv.org/abs/1505.07376),
#   NeurIPS 2015. The origin, three months before style transfer. Its figure 2 is our section 4.
# - J. Portilla, E. Simoncelli: A Parametric Texture Model Based on Joint Statistics of Complex Wavelet Coefficients, IJCV
#   2000. The same idea before networks, with 710 numbers in all.
# - G. Berger, R. Memisevic: [Incorporating long-range consistency in CNN-based texture generation](https://arxiv.org/abs/1606.01286),
#   ICLR 2017. Section 8.
# - O. Sendik, D. Cohen-Or: Deep Correlations for Texture Synthesis, ACM Transactions on Graphics 2017.
# - L. Gatys and others: [Controlling Perceptual Factors in Neural Style Transfer](https://arxiv.org/abs/1611.07865), CVPR
#   2017. Coarse to fine (lesson 08).
# - E. Heitz and others: [A Sliced Wasserstein Loss for Neural Texture Synthesis](https://arxiv.org/abs/2006.07229), CVPR
#   2021. What the mean of products leaves out.
# - I. Ustyuzhaninov and others: [Texture Synthesis Using Shallow Convolutional Networks with Random Filters](https://arxiv.org/abs/1606.00021),
#   2016. A surprise: it works, to a degree, with a network that has learned nothing.
#
# **Next:** lesson 05, Gatys' transfer. We have content from lesson 02 and style from here. What happens when both pull at
# the same pixels?
